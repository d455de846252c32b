"""What the API explorer needs of the catalogue, as one JSON file."""

import json
from typing import Any

from kubecustody.catalogue.errors import ERRORS, INTERNAL_ERROR
from kubecustody.catalogue.model import API_VERSION, Effect, Operation
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.shapes import MemberInfo, Shape, find_whole, members_of

# What the explorer says before it acts. {whom} and {where} are filled in from the values of the form.
EFFECTS = {
    Effect.READS: "It only reads.",
    Effect.ISSUES: "A certificate may be issued for {whom}{where}.",
    Effect.DISCLOSES_KEY: "The answer holds the private key of {whom}. It is masked until you reveal it.",
    Effect.REMOVES: "What is held by {whom}{where} is asked to be removed; it is not handed out again.",
    Effect.GRANTS: "What is permitted to {whom}{where} changes.",
    Effect.RESTORES: "What was removed from {whom}{where} is given back.",
    Effect.ATTESTS: "It is recorded, in your name, that something was done.",
    Effect.CHANGES_SETTINGS: "Settings{where} change.",
}


def explorer_catalogue() -> str:
    """The JSON: operations with their members, errors by code, and what each effect means."""
    document = {
        "version": API_VERSION,
        "effects": EFFECTS,
        "operations": [_operation(operation) for operation in OPERATIONS],
        "errors": {
            one.code: {"status": one.status, "meaning": one.meaning, "cure": one.cure}
            for one in (*ERRORS, INTERNAL_ERROR)
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n"


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "name": operation.name,
        "method": operation.method,
        "path": operation.path,
        "summary": operation.summary,
        "description": operation.description,
        "action": operation.action_names[0],
        "effects": sorted(operation.effects),
        "ours": operation.ours,
        "undocumented": operation.undocumented,
        "deprecated": operation.deprecated,
        "account_only": operation.account_only,
        "returns_list": operation.returns_list,
        "answers_array": operation.returns_list or bool(operation.output and find_whole(operation.output)),
        "input": _members(operation.input),
        "output": None if operation.output is None else _members(operation.output),
    }


def _members(shape: type[Shape]) -> list[dict[str, Any]]:
    return [_member(member) for member in members_of(shape)]


def _member(member: MemberInfo) -> dict[str, Any]:
    about, shape = member.about, member.shape
    told: dict[str, Any] = {
        "name": member.name,
        "wire": member.wire_name,
        "kind": member.kind,
        "location": about.location.value,
        "required": member.required,
        "default": member.default,
        "minimum": about.minimum,
        "maximum": about.maximum,
        "fewest": about.fewest,
        "most": about.most,
        "values": dict(about.values) if about.values else None,
        "pattern": member.form.anchored if member.form else None,
        "must": member.form.must if member.form else None,
        "excludes": list(about.excludes),
        "may_be_empty": about.may_be_empty,
        "whole": about.whole,
        "ours": about.ours,
        "secret": about.secret,
        "doc": about.doc,
        "example": about.example,
    }
    if shape is not None:
        told |= {"shape": shape.__name__, "module": shape.__module__, "members": _members(shape)}
    return told
