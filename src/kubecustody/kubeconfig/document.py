"""A kubeconfig read as data, and nothing but data.

No file that it names is read, no program that it names is run, no host is asked. YAML is taken event by event,
not by a constructor: so anchors, tags, depth and doubled keys are refused where they stand, and nothing is
built that the text did not spell out. JSON is YAML here. No error repeats content, since a kubeconfig holds
keys and tokens.

The members are those of kubernetes.io/docs/reference/config-api/kubeconfig.v1/ (read November 2026).
"""

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from kubecustody.core.errors import OperatorError

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32
# More than a file of the full size with a key for each user has; a value takes far more memory than its text.
MAX_VALUES = 400_000

Value = None | str | list["Value"] | dict[str, "Value"]
Members = dict[str, Value]

EMBED = "embed it with `kubectl config view --flatten --raw`"


class KubeconfigUnreadable(OperatorError):
    """A text is not a kubeconfig, or not one that is taken."""


class ReadingLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's safe loader, in C where the platform has it; only its events are used."""


@dataclass(frozen=True, slots=True)
class KubeconfigCluster:
    """One entry of `clusters`. `faults` says what of it is never followed."""

    name: str
    server: str | None
    certificate_authority: bytes | None = field(repr=False)
    tls_server_name: str | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KubeconfigContext:
    """One entry of `contexts`."""

    name: str
    cluster: str | None
    user: str | None
    namespace: str | None


@dataclass(frozen=True, slots=True)
class KubeconfigUser:
    """One entry of `users`; certificate and key are decoded from base64 and not looked at.

    `faults` says in sentences why there is no certificate, or no key beside it. token: a bearer token in the file.
    certificate_file, key_file: what it names instead, which nothing here opens.
    """

    name: str
    client_certificate: bytes | None = field(repr=False)
    client_key: bytes | None = field(repr=False)
    faults: tuple[str, ...]
    token: str | None = field(default=None, repr=False)
    certificate_file: str | None = None
    key_file: str | None = None


@dataclass(frozen=True, slots=True)
class KubeconfigDocument:
    """A kubeconfig with at least one user; names are unique within each list."""

    clusters: tuple[KubeconfigCluster, ...]
    contexts: tuple[KubeconfigContext, ...]
    users: tuple[KubeconfigUser, ...]
    current_context: str | None


def parse_kubeconfig(data: bytes, *, max_bytes: int = MAX_FILE_BYTES) -> KubeconfigDocument:
    """The kubeconfig that a file of at most `max_bytes` holds. Raises KubeconfigUnreadable."""
    if len(data) > max_bytes:
        raise KubeconfigUnreadable(f"The kubeconfig is larger than {max_bytes} bytes.")
    top = read_members(data)
    if top.get("kind", "Config") != "Config":
        raise KubeconfigUnreadable("The document is of another kind than Config: it is no kubeconfig.")
    users = tuple(_user(name, members) for name, members in named_members(top, "users", "user"))
    if not users:
        raise KubeconfigUnreadable("The kubeconfig names no users, and so holds no certificate.")
    return KubeconfigDocument(
        clusters=tuple(_cluster(name, members) for name, members in named_members(top, "clusters", "cluster")),
        contexts=tuple(_context(name, members) for name, members in named_members(top, "contexts", "context")),
        users=users,
        current_context=member_text(top, "current-context", "current-context"),
    )


# --- YAML to plain values -----------------------------------------------------------------------------------


def read_members(data: bytes) -> Members:
    """The top mapping of a kubeconfig's text, whose size its reader bounds. Raises KubeconfigUnreadable."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise KubeconfigUnreadable(f"The kubeconfig is not UTF-8 at byte {fault.start}.") from None
    try:
        value = _document(yaml.parse(text, Loader=ReadingLoader))
    except yaml.YAMLError as fault:
        raise KubeconfigUnreadable(f"The kubeconfig is not YAML{_where(fault)}.") from None
    if not isinstance(value, dict):
        raise KubeconfigUnreadable("The text is no kubeconfig: wanted is a mapping with clusters and users.")
    return value


def _where(fault: yaml.YAMLError) -> str:
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    if mark is not None:
        return f": {_line_and_column(mark)}"
    position = getattr(fault, "position", None)
    return f": a character at position {position} that YAML forbids" if position is not None else ""


def _line_and_column(mark: Any) -> str:
    # PyYAML has a class for this in Python, and another in C.
    return f"line {mark.line + 1}, column {mark.column + 1}" if mark is not None else "no line known"


def _document(events: Iterator[yaml.Event]) -> Value:
    composer = _Composer()
    for event in events:
        composer.take(event)
    return composer.root


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet; `key` is the mapping's key that waits for its value."""

    value: list[Value] | Members
    key: str | None = None


@dataclass(slots=True)
class _Composer:
    """Builds the value of one document from its events, without recursion."""

    root: Value = None
    documents: int = 0
    values: int = 0
    stack: list[_Open] = field(default_factory=list)

    def take(self, event: yaml.Event) -> None:
        """Build on with the next event. Raises KubeconfigUnreadable."""
        _refuse_cleverness(event)
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    _refuse(event, "a second document begins; a kubeconfig is one")
            case yaml.ScalarEvent():
                self._take_scalar(event)
            case yaml.MappingStartEvent():
                self._open(event, {})
            case yaml.SequenceStartEvent():
                self._open(event, [])
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.stack.pop()

    def _open(self, event: yaml.Event, value: list[Value] | Members) -> None:
        if len(self.stack) == MAX_DEPTH:
            _refuse(event, f"it is nested deeper than {MAX_DEPTH} levels")
        self._put(event, value)
        self.stack.append(_Open(value))

    def _take_scalar(self, event: yaml.ScalarEvent) -> None:
        top = self.stack[-1] if self.stack else None
        if top is None or top.key is not None or isinstance(top.value, list):
            self._put(event, _scalar(event))
        elif event.value in top.value:
            _refuse(event, "a key stands twice in one mapping")
        else:
            top.key = event.value

    def _put(self, event: yaml.Event, value: Value) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            _refuse(event, f"it has more than {MAX_VALUES} values")
        if not self.stack:
            self.root = value
            return
        top = self.stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
        elif top.key is None:
            _refuse(event, "a key is not plain text")
        else:
            top.value[top.key], top.key = value, None


def _scalar(event: yaml.ScalarEvent) -> str | None:
    # Every member of a kubeconfig that is read here is text; only null has a meaning of its own.
    if event.implicit[0] and event.value in ("", "~", "null", "Null", "NULL"):
        return None
    return str(event.value)


def _refuse_cleverness(event: yaml.Event) -> None:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        _refuse(event, "it has a YAML anchor or alias, which kubectl never writes")
    if getattr(event, "tag", None) is not None:
        _refuse(event, "it has a YAML tag, which kubectl never writes")


def _refuse(event: yaml.Event, what: str) -> None:
    where = _line_and_column(event.start_mark)
    raise KubeconfigUnreadable(f"The kubeconfig is not taken: {what} ({where}).")


# --- values to members --------------------------------------------------------------------------------------


def named_members(top: Members, plural: str, singular: str) -> Iterator[tuple[str, Members]]:
    """Each entry of a list of named members, as (name, members). Raises KubeconfigUnreadable."""
    entries = top.get(plural)
    if entries is None:
        return
    if not isinstance(entries, list):
        raise KubeconfigUnreadable(f"`{plural}` of the kubeconfig is not a list.")
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        path = f"{plural}[{position}]"
        members = _mapping(entry, path)
        name = member_text(members, "name", f"{path}.name")
        if name is None or name in seen:
            fault = "has no name" if name is None else "has a name that an earlier one has"
            raise KubeconfigUnreadable(f"`{path}` of the kubeconfig {fault}.")
        seen.add(name)
        yield name, _mapping(members.get(singular), f"{path}.{singular}")


def _mapping(value: Value, path: str) -> Members:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise KubeconfigUnreadable(f"`{path}` of the kubeconfig is not a mapping.")
    return value


def member_text(members: Members, key: str, path: str) -> str | None:
    """The text of a member, None where it is absent, null or empty. Raises KubeconfigUnreadable."""
    value = members.get(key)
    if isinstance(value, (list, dict)):
        raise KubeconfigUnreadable(f"`{path}` of the kubeconfig is not text.")
    return value or None


def _cluster(name: str, members: Members) -> KubeconfigCluster:
    faults = []
    if member_text(members, "certificate-authority", "certificate-authority"):
        faults.append(f"The file that certificate-authority names is never read from here: {EMBED}.")
    skips = member_text(members, "insecure-skip-tls-verify", "insecure-skip-tls-verify") or "false"
    if skips.lower() not in ("false", "no", "off", "n"):
        faults.append("insecure-skip-tls-verify is refused: the API server must prove who it is.")
    if member_text(members, "proxy-url", "proxy-url"):
        faults.append("proxy-url is refused: the path to the cluster is set here, not by the file.")
    authority, fault = decoded_member(members, "certificate-authority-data")
    return KubeconfigCluster(
        name=name,
        server=member_text(members, "server", "server"),
        certificate_authority=authority,
        tls_server_name=member_text(members, "tls-server-name", "tls-server-name"),
        faults=(*faults, *fault),
    )


def _context(name: str, members: Members) -> KubeconfigContext:
    return KubeconfigContext(
        name=name,
        cluster=member_text(members, "cluster", "context.cluster"),
        user=member_text(members, "user", "context.user"),
        namespace=member_text(members, "namespace", "context.namespace"),
    )


def _user(name: str, members: Members) -> KubeconfigUser:
    certificate, certificate_faults = decoded_member(members, "client-certificate-data")
    key, key_faults = decoded_member(members, "client-key-data")
    if certificate is None:
        faults = (*certificate_faults, *_other_ways(members)) or ("It has no client certificate.",)
    else:
        faults = (*key_faults, *_key_elsewhere(members, key))
    return KubeconfigUser(
        name,
        certificate,
        key,
        faults,
        member_text(members, "token", "token"),
        member_text(members, "client-certificate", "client-certificate"),
        member_text(members, "client-key", "client-key"),
    )


def _other_ways(members: Members) -> Iterator[str]:
    """How a user without an embedded certificate proves who it is instead."""
    for member in ("client-certificate", "client-key"):
        if members.get(member):
            yield f"The file that {member} names is never read from here: {EMBED}."
    if members.get("exec"):
        yield "It gets its credential from a program (exec), which is never run from here."
    if members.get("auth-provider"):
        yield "It gets its credential from an auth-provider, which is never asked from here."
    if members.get("token") or members.get("tokenFile"):
        yield "It has a bearer token, and a token is no certificate."
    if members.get("username") or members.get("password"):
        yield "It has a user name and password, which Kubernetes takes no more."


def _key_elsewhere(members: Members, key: bytes | None) -> Iterator[str]:
    if key is None and members.get("client-key"):
        yield f"The file that client-key names is never read from here: {EMBED}."


def decoded_member(members: Members, key: str) -> tuple[bytes | None, tuple[str, ...]]:
    """The bytes of a base64 member, None where it is absent or broken, and what is wrong with it."""
    text = member_text(members, key, key)
    if text is None:
        return None, ()
    try:
        # binascii.Error is a ValueError; so is what a character outside ASCII raises.
        return binascii.a2b_base64("".join(text.split()), strict_mode=True), ()
    except ValueError:
        return None, (f"Its {key} is not base64.",)
