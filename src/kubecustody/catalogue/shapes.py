"""Shapes: what goes into an operation and what comes out, as typed structs whose members describe themselves.

A shape is a msgspec struct. Each field carries a `Member` with what its type cannot say: where it travels,
bounds, what it means. Everything that needs to know the API (decoder, encoder, OpenAPI, reference pages,
explorer, command line) reads `members_of`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import UNSET, UnsetType

from kubecustody.catalogue.forms import UID, Form

__all__ = [
    "UNSET",
    "Kind",
    "Location",
    "Member",
    "MemberInfo",
    "Shape",
    "UnsetType",
    "Variant",
    "find_whole",
    "members_of",
]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which the members of an object go together: which must be there, and what some of them are then."""

    given: tuple[str, ...]
    are: Mapping[str, tuple[str | bool, ...] | Form]


class Shape(msgspec.Struct, gc=False):
    """The base of every shape. variants: an object that is given is of one of them, where there are any."""

    variants: ClassVar[tuple[Variant, ...]] = ()


class Location(Enum):
    """Where a member of an input travels; members of an output are always in the body."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"


class Kind(StrEnum):
    """The type of a member, in the words of the reference pages."""

    STRING = "string"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"
    MAP = "map"


@dataclass(frozen=True, slots=True)
class Member:
    """What a type cannot say of one member.

    minimum and maximum bound an integer, both included; values names each enum value and what it means;
    form: what a text that is given must look like; excludes: wire names of what it does not go with;
    may_be_empty: an empty path segment is a value; fewest and most: of a list, how many, and most of a text, how many
    characters it may have; whole: the body is the value of this member itself, without an object around it; ours: the
    provider does not have it; secret: it holds a private key or a token, so it stands in no link and no sample, and
    pages mask it.
    """

    doc: str
    example: str = ""
    wire_name: str = ""
    location: Location = Location.BODY
    minimum: int | None = None
    maximum: int | None = None
    values: Mapping[str, str] | None = None
    form: Form | None = None
    excludes: tuple[str, ...] = ()
    may_be_empty: bool = False
    fewest: int | None = None
    most: int | None = None
    whole: bool = False
    ours: bool = False
    secret: bool = False


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """A member as its readers see it: `name` is the field's, `shape` the struct of an object or array of them."""

    name: str
    wire_name: str
    kind: Kind
    shape: type[Shape] | None
    required: bool
    default: Any
    nullable: bool
    about: Member

    @property
    def form(self) -> Form | None:
        """What it must look like where it is given. The ID of a user or role is known by its name."""
        return self.about.form or (UID if self.wire_name.lower() in ("uid", "user") else None)


@cache
def members_of(shape: type[Shape]) -> tuple[MemberInfo, ...]:
    """The members of a shape, in its order. TypeError where a field has no Member or a type that is not spoken."""
    hints = get_type_hints(shape, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(shape)}
    return tuple(_info(shape, fields[name], hints[name]) for name in shape.__struct_fields__)


@cache
def find_whole(shape: type[Shape]) -> MemberInfo | None:
    """The member that is the whole body. TypeError where another member is to be in the body with it."""
    in_body = [member for member in members_of(shape) if member.about.location is Location.BODY]
    whole = next((member for member in in_body if member.about.whole), None)
    if whole is not None and len(in_body) > 1:
        raise TypeError(f"{shape.__name__}.{whole.name} is the whole body, and there are others in it")
    return whole


def _info(shape: type[Shape], field: msgspec.structs.FieldInfo, hint: Any) -> MemberInfo:
    about = next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, Member)), None)
    if about is None:
        raise TypeError(f"{shape.__name__}.{field.name} has no Member")
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    options = get_args(inner) if get_origin(inner) in (Union, UnionType) else (inner,)
    types = [option for option in options if option not in (NoneType, UnsetType)]
    if len(types) != 1:
        raise TypeError(f"{shape.__name__}.{field.name}: one type, or that type and None")
    kind, nested = _kind(types[0])
    return MemberInfo(
        name=field.name,
        wire_name=about.wire_name or field.encode_name,
        kind=kind,
        shape=nested,
        required=field.required and UnsetType not in options,
        default=None if field.default in (msgspec.NODEFAULT, UNSET) else field.default,
        nullable=NoneType in options,
        about=about,
    )


def _kind(type_: Any) -> tuple[Kind, type[Shape] | None]:
    origin = get_origin(type_)
    if origin is dict:
        return Kind.MAP, None
    if origin in (list, tuple):
        nested = get_args(type_)[0]
        return Kind.ARRAY, nested if isinstance(nested, type) and issubclass(nested, Shape) else None
    if isinstance(type_, type):
        if issubclass(type_, Shape):
            return Kind.OBJECT, type_
        for python_type, kind in ((str, Kind.STRING), (bool, Kind.BOOLEAN), (int, Kind.INTEGER)):
            if issubclass(type_, python_type):
                return kind, None
    raise TypeError(f"{type_!r} is not spoken in the catalogue")
