"""What a description of an operation says beyond its fields: its errors, a policy that allows just it, its shape."""

from collections.abc import Iterator
from typing import Any

from kubecustody.catalogue.errors import ErrorDefinition, all_request_errors, get_error_definition
from kubecustody.catalogue.model import Effect, Operation
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.shapes import Kind, MemberInfo, Shape, find_whole, members_of
from kubecustody.core.errors import ApiNotFound, MethodUnsupported, ProtocolNeedsTls, RequestMalformed

# These are told before it is known which operation is meant.
_BEFORE_ANY = (RequestMalformed, ProtocolNeedsTls, ApiNotFound, MethodUnsupported)

EFFECTS = {
    Effect.READS: "Only reads.",
    Effect.ISSUES: "Can issue a certificate.",
    Effect.DISCLOSES_KEY: "Gives out a private key.",
    Effect.REMOVES: "Asks the removal of credentials or takes permissions away.",
    Effect.GRANTS: "Gives permissions.",
    Effect.RESTORES: "Gives back what was removed.",
    Effect.ATTESTS: "Records somebody's word that something was removed.",
    Effect.CHANGES_SETTINGS: "Changes what this server keeps.",
}


def own_errors(operation: Operation) -> list[ErrorDefinition]:
    """What this operation can answer and not every one can."""
    return [get_error_definition(error.code) for error in operation.errors]


def common_errors() -> list[ErrorDefinition]:
    """What every operation can answer, in the order of the catalogue."""
    special = {error.code for operation in OPERATIONS for error in operation.errors}
    special |= {error.code for error in _BEFORE_ANY}
    codes = [error.code for error in all_request_errors() if error.code not in special]
    return [get_error_definition(code) for code in (*codes, "InternalError")]


def minimal_policy(operation: Operation) -> dict[str, Any]:
    """A policy that allows this call, on every cluster and in every region, and no other but its aliases."""
    resource = operation.resource.format(region_id="*", account_id="*", ClusterId="*")
    names = [operation.action_names[0], *operation.delegation_needs, *operation.associated]
    return {
        "Version": "1",
        "Statement": [
            {"Effect": "Allow", "Action": names[0] if len(names) == 1 else names, "Resource": resource},
        ],
    }


def type_text(member: MemberInfo) -> str:
    """The type of a member in the words of the reference pages."""
    if member.kind is not Kind.ARRAY:
        return member.kind.value
    return "array<object>" if member.shape is not None else "array<string>"


def walk(shape: type[Shape], depth: int = 0) -> Iterator[tuple[int, MemberInfo]]:
    """Every member of a shape, those of its objects after it and one deeper."""
    for member in members_of(shape):
        yield depth, member
        if member.shape is not None:
            yield from walk(member.shape, depth + 1)


def shape_of(operation: Operation) -> dict[str, Any]:
    """What callers and policies can rely on, as plain data: where it changes, the change history must say so."""
    return {
        "request": [operation.method, operation.path],
        "actions": list(operation.action_names),
        "resource": operation.resource,
        "effects": sorted(operation.effects),
        "input": _members(operation.input),
        "output": None if operation.output is None else _members(operation.output),
        "list": operation.returns_list,
        "errors": sorted(error.code for error in operation.errors),
    }


def _members(shape: type[Shape]) -> list[Any]:
    whole = find_whole(shape)
    return [
        [
            depth,
            member.wire_name if member is not whole else "",
            type_text(member),
            member.about.location.value,
            member.required,
            repr(member.default),
            member.about.minimum,
            member.about.maximum,
            member.about.most,
            sorted(member.about.values or {}),
            *([member.about.form.pattern] if member.about.form else []),
            *member.about.excludes,
            *([f"at least {member.about.fewest}"] if member.about.fewest else []),
            *([repr(member.shape.variants)] if member.shape and member.shape.variants else []),
        ]
        for depth, member in walk(shape)
    ]
