"""The catalogue as an OpenAPI 3.1 document. What OpenAPI cannot say (an empty Uid segment) stands in a description."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kubecustody.catalogue.describing import EFFECTS, common_errors, own_errors
from kubecustody.catalogue.errors import ErrorDefinition
from kubecustody.catalogue.forms import Form, one_of
from kubecustody.catalogue.model import API_VERSION, Effect, Operation
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.shapes import Kind, Location, MemberInfo, Shape, Variant, find_whole, members_of

_SchemaOf = Callable[[MemberInfo, dict[str, Any]], dict[str, Any]]

_SIGNATURE = (
    "ACS3-HMAC-SHA256, the provider's signature: `Authorization: ACS3-HMAC-SHA256 Credential=ID,SignedHeaders=NAMES,"
    "Signature=HEX` over method, path, query, the signed headers (host and every x-acs-*) and the SHA-256 of the body."
)
_SIGNED_HEADERS = {
    "x-acs-date": "The time of signing, UTC: 2026-11-24T03:00:42Z.",
    "x-acs-signature-nonce": "New for each request.",
    "x-acs-content-sha256": "Lower-case hex SHA-256 of the body.",
}


def openapi_document() -> dict[str, Any]:
    """The document. Operation ids are the operations' names, and schemas have the names of the provider's SDK."""
    schemas: dict[str, Any] = {"Error": _ERROR}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kubecustody",
            "version": API_VERSION,
            "description": "The kubeconfig operations of Alibaba Cloud Container Service (CS), for any clusters.",
        },
        "servers": [{"url": "/"}],
        "security": [{"acs3": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "acs3": {"type": "apiKey", "in": "header", "name": "Authorization", "description": _SIGNATURE}
            },
            "responses": {
                "Error": {
                    "description": "An error: its code, what it says, and where it is explained.",
                    "headers": {"x-acs-request-id": {"schema": {"type": "string"}}},
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
                }
            },
        },
    }


_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "Both spellings of each member, since old and new SDKs read different ones.",
    "required": ["RequestId", "HostId", "Code", "Message", "Recommend", "requestId", "code", "message", "status"],
    "properties": {
        **{name: {"type": "string"} for name in ("RequestId", "HostId", "Code", "Message", "Recommend")},
        **{name: {"type": "string"} for name in ("requestId", "code", "message")},
        "status": {"type": "integer"},
        "AccessDeniedDetail": {"type": "object", "additionalProperties": {"type": "string"}},
        "accessDeniedDetail": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [
            _parameter(member) for member in members_of(operation.input) if member.about.location is not Location.BODY
        ],
        "responses": {"200": _success(operation, schemas), **_failures(operation)},
        "x-actions": list(operation.action_names),
        "x-effects": [
            {"effect": effect, "meaning": EFFECTS[effect]} for effect in Effect if effect in operation.effects
        ],
    }
    body = _body(operation, schemas)
    if body is not None:
        described["requestBody"] = body
    if operation.deprecated:
        described["deprecated"] = True
    described["parameters"] += [
        {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in _SIGNED_HEADERS.items()
    ]
    return described


def _parameter(member: MemberInfo) -> dict[str, Any]:
    """A parameter. An array is one comma-separated value, as the SDKs send it."""
    about = member.about
    text = _told(member) + (" An empty segment stands for none." if about.may_be_empty else "")
    if about.excludes:  # of parameters OpenAPI cannot say it
        text += f" It does not go with {one_of(about.excludes)}."
    described: dict[str, Any] = {
        "name": member.wire_name,
        "in": about.location.value,
        "required": about.location is Location.PATH or member.required,
        "description": text,
        "schema": _given(member, {}),
    }
    if member.kind is Kind.ARRAY:
        described["schema"] |= {"items": {"type": "string", "pattern": r"^[^,\s]+$"}, "minItems": 1}
        described |= {"style": "form", "explode": False}
    return described


def _body(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any] | None:
    members = [member for member in members_of(operation.input) if member.about.location is Location.BODY]
    if not members:
        return None
    whole = find_whole(operation.input)
    if whole is not None:
        schema = _given(whole, schemas)
    else:
        schemas[f"{operation.name}Request"] = _object(members, schemas, operation.input.__doc__, _given)
        schema = {"$ref": f"#/components/schemas/{operation.name}Request"}
    required = whole is not None or any(member.required for member in members)
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def _success(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    if operation.output is not None:
        whole = find_whole(operation.output)
        if whole is not None:
            schema = _schema(whole, schemas)
        else:
            name = f"{operation.name}ResponseBody"
            schemas[name] = _object(members_of(operation.output), schemas, operation.output.__doc__)
            schema = {"$ref": f"#/components/schemas/{name}"}
            if operation.returns_list:
                schema = {"type": "array", "items": schema}
    return {
        "description": "Success.",
        "headers": {"x-acs-request-id": {"schema": {"type": "string"}}},
        "content": {"application/json": {"schema": schema}},
    }


def _failures(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[ErrorDefinition]] = {}
    for error in (*own_errors(operation), *common_errors()):
        by_status.setdefault(error.status, []).append(error)
    return {
        str(status): {
            "$ref": "#/components/responses/Error",
            "description": "One of " + ", ".join(error.code for error in errors) + ".",
        }
        for status, errors in sorted(by_status.items())
    }


def _told(member: MemberInfo) -> str:
    return member.about.doc + (f" It must be {member.form.must}." if member.form else "")


def _given(member: MemberInfo, schemas: dict[str, Any]) -> dict[str, Any]:
    """The schema of what is given, not answered. A parameter is never null: it is left out."""
    if member.about.location is not Location.BODY:
        member = replace(member, nullable=False)
    schema = _schema(member, schemas, _given)
    if member.form is not None:
        schema["pattern"] = member.form.anchored
        if member.form.format:
            schema["format"] = member.form.format
    return schema


def _object(
    members: Any, schemas: dict[str, Any], doc: str | None, schema_of: _SchemaOf | None = None
) -> dict[str, Any]:
    described = {
        "type": "object",
        "description": (doc or "").strip(),
        "properties": {
            member.wire_name: (schema_of or _schema)(member, schemas)
            | {"description": _told(member) if schema_of else member.about.doc}
            for member in members
        },
    }
    required = [member.wire_name for member in members if member.required]
    return described | ({"required": required} if required else {})


def _schema(member: MemberInfo, schemas: dict[str, Any], schema_of: _SchemaOf | None = None) -> dict[str, Any]:
    about = member.about
    schema: dict[str, Any] = {}
    if member.kind is Kind.ARRAY:
        items = {"type": "string"} if member.shape is None else _nested(member.shape, schemas, schema_of)
        schema = {"type": "array", "items": items} | _set_bounds({"minItems": about.fewest, "maxItems": about.most})
    elif member.kind is Kind.OBJECT and member.shape is not None:
        schema = _nested(member.shape, schemas, schema_of)
    elif member.kind is Kind.MAP:
        schema = {"type": "object", "additionalProperties": {"type": "string"}}
    else:
        schema = {"type": member.kind.value}
        schema |= _set_bounds({"minimum": about.minimum, "maximum": about.maximum, "maxLength": about.most})
        if about.values:
            schema["enum"] = [str(value) for value in about.values]
    if member.default not in (None, ""):
        schema["default"] = json.loads(json.dumps(member.default))
    if about.example and member.kind is Kind.STRING:
        schema["examples"] = [about.example]
    return {"anyOf": [schema, {"type": "null"}]} if member.nullable else schema


def _set_bounds(bounds: dict[str, int | None]) -> dict[str, int]:
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _nested(shape: type[Shape], schemas: dict[str, Any], schema_of: _SchemaOf | None) -> dict[str, Any]:
    if shape.__name__ not in schemas:
        schemas[shape.__name__] = _object(members_of(shape), schemas, shape.__doc__, schema_of)
        if shape.variants:
            schemas[shape.__name__]["anyOf"] = [_variant(one) for one in shape.variants]
    return {"$ref": f"#/components/schemas/{shape.__name__}"}


def _variant(variant: Variant) -> dict[str, Any]:
    return {
        "properties": {
            name: {"pattern": what.anchored} if isinstance(what, Form) else {"enum": list(what)}
            for name, what in variant.are.items()
        },
        "required": list(variant.given),
    }
