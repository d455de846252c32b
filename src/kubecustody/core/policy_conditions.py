"""Conditions of policies: the keys that a request can have, the operators, and whether a condition holds.

The operators are the provider's (RAM, "Conditional operators", read in November 2026). Each key is of one kind,
and so is each operator: times are compared as times, addresses as addresses, never as text.
"""

import json
import operator as compare
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import floor
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

from kubecustody.core.globs import matches
from kubecustody.core.times import format_time, parse_time

# What a request has, by the key's name in lower case. A value that is None or not of its key's kind counts as absent.
Context: TypeAlias = Mapping[str, object]
EMPTY_CONTEXT: Final[Context] = MappingProxyType({})

# A time is its unix seconds; the number of a request is an int, one that is written may have decimals.
Wanted: TypeAlias = str | int | bool | Decimal | IPv4Network | IPv6Network
Given: TypeAlias = str | int | bool | IPv4Address | IPv6Address

_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,6})?")
_NETWORK = re.compile(r"[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?")
_MAPPED = IPv6Network("::ffff:0:0/96")


class Kind(StrEnum):
    """What the values of a key are."""

    STRING = "text"
    NUMBER = "a number"
    DATE = "a time"
    BOOL = "true or false"
    IP = "an address"


KEYS: Final[Mapping[str, Kind]] = {
    "acs:CurrentTime": Kind.DATE,
    "acs:SecureTransport": Kind.BOOL,
    "acs:SourceIp": Kind.IP,
    "acs:PrincipalARN": Kind.STRING,
    "cs:KubeConfigDurationMinutes": Kind.NUMBER,
}
_SPELLINGS: Final = {name.lower(): name for name in KEYS}
_KINDS: Final = {name.lower(): kind for name, kind in KEYS.items()}


class Operator(NamedTuple):
    """How a request's value is compared with each that is written; a negated one holds where none fits."""

    kind: Kind
    fits: Callable[[Any, Any], bool]
    negated: bool = False


class Condition(NamedTuple):
    """One operator on one key: `key` in lower case, the values as they were written and as they are compared."""

    operator: str
    key: str
    written: tuple[str, ...]
    values: tuple[Wanted, ...]


# ---- deciding


def _like(given: str, pattern: str) -> bool:
    return matches(pattern, given)


def _same_but_for_case(given: str, wanted: str) -> bool:
    return given.casefold() == wanted.casefold()


def _within(given: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> bool:
    return given in network


def _ordered(name: str, kind: Kind) -> dict[str, Operator]:
    return {
        f"{name}Equals": Operator(kind, compare.eq),
        f"{name}NotEquals": Operator(kind, compare.eq, negated=True),
        f"{name}LessThan": Operator(kind, compare.lt),
        f"{name}LessThanEquals": Operator(kind, compare.le),
        f"{name}GreaterThan": Operator(kind, compare.gt),
        f"{name}GreaterThanEquals": Operator(kind, compare.ge),
    }


OPERATORS: Final[Mapping[str, Operator]] = {
    "StringEquals": Operator(Kind.STRING, compare.eq),
    "StringNotEquals": Operator(Kind.STRING, compare.eq, negated=True),
    "StringEqualsIgnoreCase": Operator(Kind.STRING, _same_but_for_case),
    "StringNotEqualsIgnoreCase": Operator(Kind.STRING, _same_but_for_case, negated=True),
    "StringLike": Operator(Kind.STRING, _like),
    "StringNotLike": Operator(Kind.STRING, _like, negated=True),
    **_ordered("Numeric", Kind.NUMBER),
    **_ordered("Date", Kind.DATE),
    "Bool": Operator(Kind.BOOL, compare.eq),
    "IpAddress": Operator(Kind.IP, _within),
    "NotIpAddress": Operator(Kind.IP, _within, negated=True),
}


def holds(condition: Condition, context: Context, *, if_absent: bool) -> bool:
    """Whether the condition holds for a request; `if_absent` where the request has no value of its key.

    A statement passes whether it denies: without a value an Allow is never taken for granted and a Deny never
    passed by, also with an operator that says Not.
    """
    given = given_value(condition.key, context)
    if given is None:
        return if_absent
    _, fits, negated = OPERATORS[condition.operator]
    return any(fits(given, wanted) for wanted in condition.values) is not negated


def given_value(key: str, context: Context) -> Given | None:
    """The request's value of a key (in lower case) as it is compared, or None where it has none."""
    value = context.get(key)
    return None if value is None else _TAKERS[_KINDS[key]](value)


def _take_string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _take_number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _take_date(value: object) -> int | None:
    """Whole seconds, as times are written: within a second, DateEquals holds throughout."""
    aware = isinstance(value, datetime) and value.utcoffset() is not None
    return floor(value.timestamp()) if isinstance(value, datetime) and aware else None


def _take_bool(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _take_address(value: object) -> IPv4Address | IPv6Address | None:
    if isinstance(value, str):
        try:
            value = ip_address(value)
        except ValueError:
            return None
    if isinstance(value, IPv6Address) and value.ipv4_mapped is not None:
        return value.ipv4_mapped
    return value if isinstance(value, IPv4Address | IPv6Address) else None


_TAKERS: Final[Mapping[Kind, Callable[[object], Given | None]]] = {
    Kind.STRING: _take_string,
    Kind.NUMBER: _take_number,
    Kind.DATE: _take_date,
    Kind.BOOL: _take_bool,
    Kind.IP: _take_address,
}


# ---- reading and writing


def find_key(name: str) -> str | None:
    """The key of this name, in lower case, or None where no request ever has it."""
    folded = name.lower()
    return folded if folded in _KINDS else None


def spell_key(key: str) -> str:
    """The name of a key (in lower case) as the provider writes it."""
    return _SPELLINGS[key]


def kind_of(key: str) -> Kind:
    """The kind of a key (in lower case)."""
    return _KINDS[key]


def operators_for(kind: Kind) -> tuple[str, ...]:
    """The names of the operators that compare values of this kind."""
    return tuple(name for name, each in OPERATORS.items() if each.kind is kind)


def read_value(kind: Kind, value: object) -> Wanted:
    """A value out of a JSON document, as it is compared. Raises ValueError with what it must be instead."""
    return _READERS[kind](value)


def write_value(value: object) -> str:
    """A value out of a JSON document, as it was written there, a string without its quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def write_given(key: str, given: Given) -> str:
    """The request's value of a key (in lower case), as a policy would write it."""
    if _KINDS[key] is Kind.DATE and isinstance(given, int):
        return format_time(given)
    return str(given).lower() if isinstance(given, bool) else str(given)


def _read_string(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise ValueError("must be a string of printable characters, at least one")
    return value


def _read_number(value: object) -> Decimal:
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise ValueError("must be a number of at most 9 digits before the decimal point and 6 after it")
    return Decimal(text)


def _read_date(value: object) -> int:
    try:
        return parse_time(str(value))
    except ValueError as error:
        raise ValueError("must be a time with its zone, as 2026-11-30T07:41:50Z") from error


def _read_bool(value: object) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError("must be true or false")
    return text == "true"


def _read_network(value: object) -> IPv4Network | IPv6Network:
    text = str(value)
    try:
        network = ip_network(text, strict=False) if _NETWORK.fullmatch(text) else None
    except ValueError:
        network = None
    if network is None:
        raise ValueError("must be an address or a block of them, as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32")
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        raise ValueError(f"is IPv4 within IPv6, which counts as IPv4: write {mapped}/{network.prefixlen - 96}")
    address = text.partition("/")[0]
    if address != text and ip_address(address) != network.network_address:
        raise ValueError(f"is an address within a block: write {network} for the block or {address} for the address")
    return network


_READERS: Final[Mapping[Kind, Callable[[object], Wanted]]] = {
    Kind.STRING: _read_string,
    Kind.NUMBER: _read_number,
    Kind.DATE: _read_date,
    Kind.BOOL: _read_bool,
    Kind.IP: _read_network,
}
