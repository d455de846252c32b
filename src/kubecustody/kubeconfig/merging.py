"""A kubeconfig of ours merged into a person's own file, where every byte that is not ours stays as it was.

The file is never written anew from data: YAML's events tell where each value lies in the text, and the text is
edited there. What is ours is three named entries (a cluster, a user, a context), of these only the members that
we bring, and current-context where none is set. After the edits the text is read again and compared; an edit that
did anything else is refused.

Aliases are never followed and anchors never expanded: both are compared as they are spelled. No error and no line
of changes repeats a value of the file.

kubectl's rules are those of kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/ and of
k8s.io/client-go/tools/clientcmd (read November 2026): lists are keyed by name, the first of equal names counts,
and a writer holds FILE.lock, made with O_EXCL.
"""

import difflib
import json
import os
import re
import shlex
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.document import ReadingLoader

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
# A file of the full size with a key for each user has fewer; a node takes far more memory than its text.
MAX_NODES = 200_000

SINGULARS = {"clusters": "cluster", "contexts": "context", "users": "user"}

# Beside what we bring these make a client trust another server, or show itself as somebody else.
RIVALS = {
    "clusters": ("certificate-authority", "certificate-authority-data", "insecure-skip-tls-verify", "tls-server-name"),
    "users": (
        "client-certificate",
        "client-key",
        "token",
        "tokenFile",
        "username",
        "password",
        "exec",
        "auth-provider",
    ),
}

ELSEWHERE = "Use `--out FILE` instead, and let kubectl read both: KUBECONFIG=FILE-OF-YOURS:FILE."
ALONE = "or use `--out FILE` and that file alone: kubectl --kubeconfig FILE."

_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_NEWLINE = re.compile("\r\n|[\r\n]")
_CURRENT = re.compile("^current-context:.*\n?", re.MULTILINE)
_SECRET_KEY = re.compile(r"-data$|token|passw|passphrase|secret|credential|api-?key", re.IGNORECASE)
_SECRET_COMMENT = re.compile(
    r"(data|token|passw|passphrase|secret|credential|key)[\w-]{0,20}\W{0,5}[:=]|[A-Za-z0-9+/_]{40}|^#\s*[A-Za-z0-9+/_=]{8,}\s*$",
    re.IGNORECASE,
)
_URL_LOGIN = re.compile(r"(?<=://)[^/@\s\"']+(?=@)")
_PLAIN_PEM = re.compile(r"LS0t[A-Za-z0-9+/]*=*")  # base64 of "---": never a number, a date or a word of YAML


class MergeRefused(OperatorError):
    """A kubeconfig cannot be merged into a file safely; nothing is changed."""


@dataclass(frozen=True, slots=True)
class Merge:
    """The whole new text, and in sentences what became of each entry of ours.

    `text` equals the existing text where there was nothing to do.
    """

    text: str = field(repr=False)
    changes: tuple[str, ...]


def find_current_context(text: str) -> str | None:
    """What kubectl would take from this kubeconfig for its current context; None without, or where it is unreadable."""
    try:
        root = _read(text.removeprefix("\ufeff"))
    except MergeRefused:
        return None
    return _current_of(root) if root is not None else None


def merge_kubeconfig(existing: str, incoming: str, *, current_elsewhere: str | None = None) -> Merge:
    """`existing` with the only cluster, user and context of `incoming`. Raises MergeRefused.

    current_elsewhere: the current context of another file that kubectl reads too; none is set here then.

    The text of an empty file, or of one with comments only, is followed by `incoming` as it is. A byte order mark
    at the start stays.
    """
    ours = _read_ours(incoming)
    mark, text = ("\ufeff", existing[1:]) if existing.startswith("\ufeff") else ("", existing)
    before = _read(text)
    if before is None:
        added = incoming if current_elsewhere is None else _CURRENT.sub("", incoming)
        merged, changes = _followed_by(text, added), [f"added {_shown(entry)}" for entry in ours.entries]
        changes.append(_left_current(ours) if current_elsewhere is not None else _now_current(ours))
    else:
        _refuse_what_is_in_the_way(before, ours)
        merged, changes = _with_all(text, before, ours, current_elsewhere)
    _check(before, _read_again(merged, before), ours, current_elsewhere)
    return Merge(mark + merged, tuple(changes))


# --- ours ---------------------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """One named entry of ours: the list that it stands in, its name, and its members, which are all text."""

    plural: str
    name: str
    members: dict[str, str]

    @property
    def singular(self) -> str:
        """The member that holds the members."""
        return SINGULARS[self.plural]


class Ours(NamedTuple):
    """What is merged in."""

    cluster: Entry
    context: Entry
    user: Entry

    @property
    def entries(self) -> tuple[Entry, Entry, Entry]:
        """In the order in which they are written."""
        return self.cluster, self.context, self.user


def _read_ours(incoming: str) -> Ours:
    try:
        root = _read(incoming)
    except MergeRefused as fault:
        raise MergeRefused(f"The new kubeconfig cannot be read. {fault}") from fault
    entries = [_entry_of_ours(root, plural) for plural in SINGULARS] if root is not None else []
    if not entries:
        raise MergeRefused("The new kubeconfig is empty. Fetch it again.")
    ours = Ours(*entries)
    named = (ours.context.members.get("cluster"), ours.context.members.get("user"))
    if named != (ours.cluster.name, ours.user.name):
        raise MergeRefused("The context of the new kubeconfig names another cluster or user. Fetch it again.")
    if not ours.cluster.members.get("server") or not ours.user.members.get("client-certificate-data"):
        raise MergeRefused("The new kubeconfig has no server or no client certificate. Fetch it again.")
    return ours


def _entry_of_ours(root: "Node", plural: str) -> Entry:
    found = root.members.get(plural)
    singular = SINGULARS[plural]
    if found is None or found.kind != "list" or len(found.children) != 1:
        raise MergeRefused(f"The new kubeconfig must have exactly one {singular}. Merge it by hand, or fetch one.")
    (item,) = found.children
    name, inner = item.members.get("name"), item.members.get(singular)
    if name is None or not name.is_text or inner is None or not all(one.is_text for one in inner.members.values()):
        raise MergeRefused(f"The {singular} of the new kubeconfig is not one that is issued here. Fetch it again.")
    return Entry(plural, name.value, {key: one.value for key, one in inner.members.items()})


def _shown(entry: Entry) -> str:
    return f"{entry.singular} {_printable(entry.name)}"


def _printable(name: str) -> str:
    return name if re.fullmatch(r"[\w.:/@-]+", name, re.ASCII) else json.dumps(name)


def _now_current(ours: Ours) -> str:
    return f"current-context is {_printable(ours.context.name)}, since none was set"


def _left_current(ours: Ours) -> str:
    return f"current-context stays as it is: kubectl config use-context {shlex.quote(_printable(ours.context.name))}"


# --- the text as nodes --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Node:
    """One value and where it lies in the text.

    `end` is where the value itself ends: no space or comment behind it counts. A mapping's children are its keys
    and values in turn. `mark` is the anchor and tag, or an alias's name; `plain` says that a scalar is unquoted.
    """

    kind: Literal["scalar", "list", "mapping", "alias"]
    start: int
    end: int
    line: int
    column: int
    mark: tuple[str | None, str | None] | None = None
    flow: bool = False
    plain: bool = False
    value: str = ""
    children: list["Node"] = field(default_factory=list)

    @property
    def pairs(self) -> list[tuple["Node", "Node"]]:
        """A mapping's keys and values; none of any other node."""
        return list(zip(self.children[::2], self.children[1::2], strict=True)) if self.kind == "mapping" else []

    @property
    def members(self) -> dict[str, "Node"]:
        """A mapping's values by their keys."""
        return {key.value: value for key, value in self.pairs}

    @property
    def is_null(self) -> bool:
        """Whether it is YAML's null."""
        return self.kind == "scalar" and self.plain and self.value in ("", "~", "null", "Null", "NULL")

    @property
    def is_text(self) -> bool:
        """Whether it is a scalar without an anchor or a tag, and not null."""
        return self.kind == "scalar" and self.mark is None and not self.is_null

    @property
    def data(self) -> tuple[object, ...]:
        """What it says, for comparing: the same wherever in a text it stands."""
        return (self.kind, self.mark, self.plain, self.value, *(child.data for child in self.children))


def _read(text: str) -> Node | None:
    """The mapping that a text holds, None where it holds comments at most. Raises MergeRefused."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as fault:
        raise MergeRefused(f"The file is not UTF-8 on line {_line_at(text, fault.start)}. {ELSEWHERE}") from None
    if size > MAX_FILE_BYTES:
        raise MergeRefused(f"The file is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB. {ELSEWHERE}")
    reading = _Reading()
    try:
        for event in yaml.parse(text, Loader=ReadingLoader):
            reading.take(event)
    except yaml.YAMLError as fault:
        raise _not_yaml(text, fault) from None
    root = reading.root
    if root is None or (root.kind == "scalar" and root.plain and not root.value and root.mark is None):
        return None
    if root.kind != "mapping":
        raise _refusal(root, "the file is no mapping with clusters and users")
    return root


def _not_yaml(text: str, fault: yaml.YAMLError) -> MergeRefused:
    # PyYAML's own words repeat the text.
    mark = getattr(fault, "problem_mark", None) or getattr(fault, "context_mark", None)
    line = mark.line if mark is not None else _line_at(text, getattr(fault, "position", 0)) - 1
    lines = _BREAK.split(text)
    line = min(line, len(lines) - 1)
    tab = ": a tab stands there" if "\t" in lines[line] else ""
    return MergeRefused(f"The file is not YAML on line {line + 1}{tab}. Mend it there. Or: {ELSEWHERE}")


def _line_at(text: str, index: int) -> int:
    return len(_BREAK.findall(text, 0, index)) + 1


def _refusal(node: Node, what: str, cure: str = ELSEWHERE) -> MergeRefused:
    return MergeRefused(f"Not merged, and nothing is changed: {what} (line {node.line}). {cure}")


@dataclass(slots=True)
class _Reading:
    """Builds the nodes of one document from its events, without recursion."""

    root: Node | None = None
    nodes: int = 0
    documents: int = 0
    anchors: set[str] = field(default_factory=set)
    open: list[Node] = field(default_factory=list)

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise _refusal(_node(event, "scalar"), "a second document begins")
            case yaml.ScalarEvent():
                self._put(_node(event, "scalar", plain=event.implicit[0] and not event.style, value=event.value))
            case yaml.AliasEvent():
                alias = _node(event, "alias", mark=(event.anchor, None))
                if event.anchor not in self.anchors:
                    raise _refusal(alias, "an alias has no anchor before it", f"Mend it. Or: {ELSEWHERE}")
                self._put(alias)
            case yaml.MappingStartEvent():
                self._open(_node(event, "mapping", flow=bool(event.flow_style)))
            case yaml.SequenceStartEvent():
                self._open(_node(event, "list", flow=bool(event.flow_style)))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close(event)

    def _open(self, node: Node) -> None:
        if len(self.open) == MAX_DEPTH:
            raise _refusal(node, f"it is nested deeper than {MAX_DEPTH} levels")
        self._put(node)
        self.open.append(node)

    def _put(self, node: Node) -> None:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise _refusal(node, f"it has more than {MAX_NODES} values")
        if node.mark is not None and node.mark[0] is not None:
            self.anchors.add(node.mark[0])
        if self.open:
            self.open[-1].children.append(node)
        else:
            self.root = node

    def _close(self, event: Any) -> None:
        node = self.open.pop()
        # YAML's end of a block is where the next thing begins, behind any comments.
        node.end = event.end_mark.index if node.flow or not node.children else node.children[-1].end
        seen: set[str] = set()
        for key, _ in node.pairs:
            if key.kind != "scalar":
                raise _refusal(key, "a key is not plain text")
            if key.value in seen:
                raise _refusal(key, "a key stands twice in one mapping", f"Take one out. Or: {ELSEWHERE}")
            seen.add(key.value)


def _node(event: Any, kind: Literal["scalar", "list", "mapping", "alias"], **members: Any) -> Node:
    start, end = event.start_mark, event.end_mark
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    mark = (anchor, tag) if anchor is not None or tag is not None else None
    return Node(kind, start.index, end.index, start.line + 1, start.column, **{"mark": mark, **members})


# --- what is in the way -------------------------------------------------------------------------------------


def _refuse_what_is_in_the_way(root: Node, ours: Ours) -> None:
    """Raises MergeRefused unless each entry of ours is absent, or there and ours, and its list can be edited."""
    _refuse_another_kind(root)
    for entry in ours.entries:
        found = _find(root, entry)
        if found is not None:
            _refuse_stranger(found, entry)
    _refuse_borrowing(root, ours)
    current = root.members.get("current-context")
    if current is not None and current.kind in ("list", "mapping"):
        raise _refusal(current, "current-context is not text")


def _refuse_another_kind(root: Node) -> None:
    if root.mark is not None:
        raise _refusal(root, "the whole file has a YAML anchor or tag")
    for member, wanted in (("kind", "Config"), ("apiVersion", "v1")):
        found = root.members.get(member)
        if found is not None and not _says_nothing(found) and found.value != wanted:
            raise _refusal(found, f"`{member}` is not {wanted}, so this is no kubeconfig")
    if "<<" in root.members:
        raise _refusal(root.members["<<"], "the file's own members come by a YAML merge key (`<<`)")


def _named_items(root: Node, plural: str) -> dict[str, Node]:
    """The entries of one list by name. Raises MergeRefused where the list or a name in it is in doubt."""
    found = root.members.get(plural)
    if found is None or (found.is_null and found.mark is None):
        return {}
    if found.mark is not None:
        raise _refusal(found, f"`{plural}` has a YAML anchor, alias or tag")
    if found.kind != "list":
        raise _refusal(found, f"`{plural}` is not a list")
    named: dict[str, Node] = {}
    for item in found.children:
        name = item.members.get("name")
        if name is None or not name.is_text:
            raise _refusal(item, f"an entry of `{plural}` has no name of its own")
        if name.value in named:
            cure = f"kubectl would take the first; delete one. Or: {ELSEWHERE}"
            raise _refusal(name, f"two entries of `{plural}` have one name", cure)
        named[name.value] = item
    return named


def _find(root: Node, entry: Entry) -> Node | None:
    return _named_items(root, entry.plural).get(entry.name)


def _inner(root: Node, entry: Entry) -> Node | None:
    """The mapping of the members of an entry of ours that is there."""
    found = _find(root, entry)
    return None if found is None else found.members.get(entry.singular)


def _refuse_stranger(found: Node, entry: Entry) -> None:
    inner = found.members.get(entry.singular)
    if _has_marks(found):
        raise _refusal(found, f"{_shown(entry)} is there with a YAML anchor, alias or tag in it")
    if found.members["name"].plain and _reads_as_number(entry.name):
        raise _refusal(found, f"the name of {_shown(entry)} is a number", f"Put it in quotes. Or: {ELSEWHERE}")
    if inner is None or not inner.members:
        raise _in_the_way(found, entry, "without members")
    if inner.kind != "mapping":
        raise _refusal(inner, f"{_shown(entry)} is there and is not a mapping")
    _refuse_other_facts(found, inner, entry)
    for member in RIVALS.get(entry.plural, ()):
        rival = inner.members.get(member)
        if rival is not None and member not in entry.members and not _is_off(rival):
            raise _in_the_way(rival, entry, f"with {member}, which the new one has not")


def _is_off(node: Node) -> bool:
    return _says_nothing(node) or (node.kind == "scalar" and node.value.lower() == "false")


def _refuse_other_facts(found: Node, inner: Node, entry: Entry) -> None:
    """What tells that an entry is ours: a cluster's server, a context's two names, a user's certificate."""
    deciding = {"clusters": ("server",), "contexts": ("cluster", "user"), "users": ()}[entry.plural]
    for member in deciding:
        other = inner.members.get(member)
        if other is None or other.value != entry.members[member]:
            raise _in_the_way(other or found, entry, f"with another {member}")
    if entry.plural == "users" and "client-certificate-data" not in inner.members:
        raise _in_the_way(found, entry, "without a client certificate")
    for member in entry.members:
        there = inner.members.get(member)
        if there is not None and there.kind != "scalar":
            raise _refusal(there, f"{member} of {_shown(entry)} is not text")


def _in_the_way(node: Node, entry: Entry, how: str) -> MergeRefused:
    what = f"{_shown(entry)} is there {how}, so it is not ours to replace"
    delete = f"kubectl config delete-{entry.singular} {shlex.quote(_printable(entry.name))}"
    return _refusal(node, what, f"Rename it, or delete it (`{delete}`), {ALONE}")


def _refuse_borrowing(root: Node, ours: Ours) -> None:
    """A person's own context must neither get our user for another cluster, nor a cluster that it lacked."""
    has_cluster = _find(root, ours.cluster) is not None
    for name, item in _named_items(root, "contexts").items():
        members = item.members["context"].members if "context" in item.members else {}
        cluster, user = (members[key].value if key in members else "" for key in ("cluster", "user"))
        if name == ours.context.name:
            continue
        if user == ours.user.name and cluster != ours.cluster.name:
            raise _refusal(
                item, f"another context uses {_shown(ours.user)} with another cluster", f"Rename it, {ALONE}"
            )
        if cluster == ours.cluster.name and user != ours.user.name and not has_cluster:
            what = f"another context names {_shown(ours.cluster)}, which is not there, for another user"
            raise _refusal(item, what, f"Delete that context, {ALONE}")


def _has_marks(node: Node) -> bool:
    return node.mark is not None or any(_has_marks(child) for child in node.children)


def _reads_as_number(name: str) -> bool:
    # kubectl reads an unquoted 012 as 10.
    return name.replace("_", "").isdigit()


# --- the edits ----------------------------------------------------------------------------------------------


def _with_all(text: str, root: Node, ours: Ours, elsewhere: str | None) -> tuple[str, list[str]]:
    """The text with each entry put in, and what was done. After each edit the text is read anew."""
    changes = []
    for entry in ours.entries:
        text, root, change = _with_entry(text, root, entry)
        changes.append(change)
    current = _current_of(root)
    there = elsewhere if current is None else current
    if there is None:
        changes.append(_now_current(ours))
        text = _with_member(text, root, "current-context", ours.context.name)
    elif there != ours.context.name:
        changes.append(_left_current(ours))
    return text, changes


def _with_entry(text: str, root: Node, entry: Entry) -> tuple[str, Node, str]:
    inner = _inner(root, entry)
    if inner is None:
        text = _with_item(text, root, entry)
        return text, _read_again(text, root.members.get(entry.plural, root)), f"added {_shown(entry)}"
    kept, changed = _kept(inner, entry), False
    for member, value in entry.members.items():
        inner = _inner(root, entry)
        if inner is None:
            raise _unsafe(root)
        edited = _with_member(text, inner, member, value)
        if edited != text:
            text, root, changed = edited, _read_again(edited, inner), True
    return (
        text,
        root,
        f"replaced {_shown(entry)}{kept}" if changed else f"{_shown(entry)} is there already and equal{kept}",
    )


def _read_again(text: str, near: Node | None) -> Node:
    """The mapping that an edited text holds. Raises MergeRefused that tells of the place of the edit."""
    try:
        root = _read(text)
    except MergeRefused:
        raise _unsafe(near) from None
    if root is None:
        raise _unsafe(near)
    return root


def _kept(inner: Node, entry: Entry) -> str:
    kept = [_printable(member) for member in inner.members if member not in entry.members]
    return f", and keeps its {', '.join(kept)}" if kept else ""


def _with_item(text: str, root: Node, entry: Entry) -> str:
    found = root.members.get(entry.plural)
    data = {"name": entry.name, entry.singular: entry.members}
    if found is None:
        return _appended(
            text, root, f"{json.dumps(entry.plural)}: {_json([data])}", [f"{entry.plural}:", *_lines(data)]
        )
    if not root.flow and not found.children and _is_on_one_line(text, found):
        return _begun(text, root, found, _lines(data))
    if found.is_null:
        return _replaced(text, found, _json([data]))
    return _appended(text, found, _json(data), _lines(data))


def _with_member(text: str, mapping: Node, member: str, value: str) -> str:
    """The text with a member of text set; the same text where it says so already."""
    found = mapping.members.get(member)
    if found is None:
        return _appended(text, mapping, f"{json.dumps(member)}: {_json(value)}", [f"{member}: {_scalar(value)}"])
    if found.is_text and found.value == value:
        return text
    return _replaced(text, found, _scalar(value) if found.plain and not mapping.flow else _json(value))


def _is_on_one_line(text: str, node: Node) -> bool:
    return _BREAK.search(text, node.start, node.end) is None and "#" not in text[node.start : node.end]


def _json(data: object) -> str:
    return json.dumps(data, ensure_ascii=False)


def _scalar(value: str) -> str:
    return value if _PLAIN_PEM.fullmatch(value) else _json(value)


def _lines(data: dict[str, Any]) -> list[str]:
    """An entry as an item of a block list, as kubeconfigs are issued here."""
    (name, (singular, members)) = data["name"], list(data.items())[1]
    return [
        f"- name: {_json(name)}",
        f"  {singular}:",
        *(f"    {member}: {_scalar(value)}" for member, value in members.items()),
    ]


def _appended(text: str, node: Node, flow: str, block: list[str]) -> str:
    """The text with one more child at the end of a list or mapping, written as the node is."""
    if not node.flow:
        return _after_line(text, node.end, [" " * node.column + line for line in block])
    if not node.children:
        return text[: node.start + 1] + flow + text[node.start + 1 :]
    last = node.children[-1 if node.kind == "list" else -2]
    line_start = max((one.end() for one in _BREAK.finditer(text, node.start, last.start)), default=last.start)
    own_line = line_start < last.start and not text[line_start : last.start].strip()
    joint = f",{_newline(text, last.start)}{text[line_start : last.start]}" if own_line else ", "
    end = node.children[-1].end
    return text[:end] + joint + flow + text[end:]


def _begun(text: str, root: Node, found: Node, block: list[str]) -> str:
    """The text with a block list where a member was null or `[]`; a comment behind it stays."""
    kept = text[: found.start].rstrip(" \t")
    return _after_line(kept + text[found.end :], len(kept), [" " * root.column + line for line in block])


def _replaced(text: str, node: Node, value: str) -> str:
    before, old = text[: node.start], text[node.start : node.end]
    space = "" if old or before.endswith((" ", "\t", "\n", "\r")) else " "
    # A block scalar (| or >) takes the end of its last line with it.
    broken = _newline(text, node.start) if old and _BREAK.fullmatch(old[-1]) else ""
    return f"{before}{space}{value}{broken}{text[node.end :]}"


def _after_line(text: str, index: int, lines: list[str]) -> str:
    """The text with lines put behind the line in which a value ends at `index`."""
    newline = _newline(text, index)
    if index > 0 and _BREAK.fullmatch(text[index - 1]):
        return text[:index] + "".join(line + newline for line in lines) + text[index:]
    following = _BREAK.search(text, index)
    end = following.start() if following else len(text)
    return text[:end] + "".join(newline + line for line in lines) + text[end:]


def _newline(text: str, index: int) -> str:
    """The line break that is used at this place of the text."""
    found = _NEWLINE.search(text, index) or _NEWLINE.search(text)
    return found.group() if found else "\n"


def _followed_by(text: str, incoming: str) -> str:
    if not text:
        return incoming
    newline = _newline(text, 0)
    added = incoming.replace("\r\n", "\n").replace("\n", newline)
    return text + added if _BREAK.fullmatch(text[-1]) else text + newline + added.removesuffix(newline)


# --- the own check ------------------------------------------------------------------------------------------


def _check(before: Node | None, after: Node, ours: Ours, elsewhere: str | None) -> None:
    """Raises MergeRefused unless ours is there as it came, and all else as it was."""
    if before is not None:
        _check_others(before, after, ours)
    for entry in ours.entries:
        inner = _inner(after, entry)
        members = inner.members if inner is not None else {}
        for member, value in entry.members.items():
            if member not in members or not members[member].is_text or members[member].value != value:
                raise _unsafe(before)
    set_before = _current_of(before) if before is not None else None
    wanted = set_before if set_before is not None or elsewhere is not None else ours.context.name
    if _current_of(after) != wanted:
        raise _unsafe(before)


def _current_of(root: Node) -> str | None:
    current = root.members.get("current-context")
    return None if current is None or _says_nothing(current) else current.value


def _check_others(before: Node, after: Node, ours: Ours) -> None:
    if _beside_lists(before) != _beside_lists(after):
        raise _unsafe(before)
    for entry in ours.entries:
        if _others(before, entry) != _others(after, entry):
            raise _unsafe(before.members.get(entry.plural, before))


def _says_nothing(node: Node) -> bool:
    return node.is_null or (node.kind == "scalar" and not node.value)


def _unsafe(near: Node | None) -> MergeRefused:
    where = f" near line {near.line}" if near is not None else ""
    return MergeRefused(
        f"Not merged, and nothing is changed: the file has a form{where} in which the edited text would not read as "
        f"it should. {ELSEWHERE}"
    )


def _beside_lists(root: Node) -> list[object]:
    """What a kubeconfig says beside the three lists and current-context, for comparing."""
    apart = {*SINGULARS, "current-context"}
    return [(key.data, value.data) for key, value in root.pairs if key.value not in apart]


def _others(root: Node, entry: Entry) -> tuple[list[object], list[object]]:
    """What a list has beside the entry of ours, and that beside what we bring. An absent list equals an empty one."""
    named = _named_items(root, entry.plural)
    return [item.data for name, item in named.items() if name != entry.name], _beside_ours(named.get(entry.name), entry)


def _beside_ours(item: Node | None, entry: Entry) -> list[object]:
    """What an entry of ours has beside what we bring."""
    if item is None:
        return []
    beside: list[object] = []
    beside += [(key.data, value.data) for key, value in item.pairs if key.value not in ("name", entry.singular)]
    inner = item.members.get(entry.singular)
    pairs = inner.pairs if inner is not None else []
    return beside + [(key.data, value.data) for key, value in pairs if key.value not in entry.members]


# --- a difference to show -----------------------------------------------------------------------------------


def diff_lines(existing: str, merged: str) -> list[str]:
    """The difference as a unified diff that may be shown to others: each secret of either text is `<masked>`.

    Masked are the values of *-data, tokens and passwords, logins in URLs, all that a program or auth-provider is
    given, anything with a YAML anchor, and comments that look like one of these. Raises MergeRefused where a text
    cannot be read, since then its secrets cannot be found.
    """
    places: dict[str, str] = {}
    before, after = (_masked_lines(text.removeprefix("\ufeff"), places) for text in (existing, merged))
    lines = difflib.unified_diff(before, after, "before", "after", lineterm="")
    # Two secrets stay apart until here, so that a line whose secret alone has changed is shown.
    return [re.sub("\0[0-9]+\0", "<masked>", line) for line in lines]


def _masked_lines(text: str, places: dict[str, str]) -> list[str]:
    lines = _NEWLINE.split(_masked(text, places))
    return lines if lines[-1] else lines[:-1]


def _masked(text: str, places: dict[str, str]) -> str:
    """The text with a place-holder for each secret, equal for equal secrets."""

    def hide(secret: str) -> str:
        # NUL cannot stand in a text that is YAML.
        return places.setdefault(secret, f"\0{len(places)}\0")

    root = _read(text)
    parts, at = [], 0
    for node in _secrets(root, False) if root is not None else ():
        secret = text[node.start : node.end].rstrip()
        parts += [text[at : node.start], hide(secret)]
        at = node.start + len(secret)
    visible = "".join([*parts, text[at:]])
    visible = _URL_LOGIN.sub(lambda found: hide(found.group()), visible)
    return re.sub("#[^\r\n]+", lambda found: _without_secret(found.group(), hide), visible)


def _without_secret(comment: str, hide: Any) -> str:
    return f"# {hide(comment)}" if _SECRET_COMMENT.search(comment) else comment


def _secrets(node: Node, inside: bool) -> Iterator[Node]:
    """The scalars, in the order of the text, whose text is not to be shown."""
    inside = inside or node.mark is not None
    if node.kind == "scalar":
        if inside and node.start < node.end:
            yield node
    elif node.kind == "list":
        for child in node.children:
            yield from _secrets(child, inside)
    for key, value in node.pairs:
        yield from _secrets(key, key.mark is not None)
        yield from _secrets(value, inside or _is_secret(key.value))


def _is_secret(key: str) -> bool:
    # A program's arguments and environment, and what an auth-provider keeps, hold secrets under any name.
    return key in ("exec", "auth-provider") or _SECRET_KEY.search(key) is not None


# --- the file -----------------------------------------------------------------------------------------------


def read_existing(path: Path) -> str:
    """The text of a kubeconfig file, empty where there is none. Raises OperatorError.

    Line breaks and a byte order mark are kept as they are.
    """
    try:
        data = _read_file(follow_links(path))
    except OSError as fault:
        raise _file_fault(path, "read", fault) from fault
    try:
        return (data or b"").decode()
    except UnicodeDecodeError as fault:
        raise OperatorError(f"{path} is not UTF-8 at byte {fault.start}. {ELSEWHERE}") from None


def write_private(path: Path, text: str, *, backup: bool, now: datetime, expected: str | None = None) -> Path | None:
    """Where the file as it was before is kept, None where there was none, or it is not wanted, or nothing changed.

    The new file has mode 0600 and the owner of the old one; a link stays, and what it leads to is replaced. At any
    moment the file is whole: the old one or the new one. With `expected`, the text that the new one was made from,
    a file that has changed since is refused. The backup, with mode 0600 too, lies beside the file and is called
    NAME.backup-YYYYmmddTHHMMSSZ after `now`, with a number behind it where that is taken. Raises OperatorError.
    """
    try:
        target = follow_links(path)
        if _read_file(target) == text.encode():
            return None
        _make_folder(target.parent)
        with _locks(path, target):
            before = _read_file(target)
            if before == text.encode():
                return None
            if expected is not None and (before or b"") != expected.encode():
                raise OperatorError(f"{path} has changed while this ran, and is left as it is. Run the command again.")
            return _replace(target, before, text.encode(), f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}" if backup else None)
    except OSError as fault:
        raise _file_fault(path, "written", fault) from fault


def follow_links(path: Path) -> Path:
    """The path of what this one leads to, whether there is a file yet or not. Raises OSError."""
    # Of links that lead in a circle Path.resolve says nothing since Python 3.13, and before it no OSError.
    with suppress(FileNotFoundError):
        path.stat()
    return path.resolve()


def _file_fault(path: Path, done: str, fault: OSError) -> OperatorError:
    return OperatorError(f"{path} cannot be {done}: {fault.strerror}. Mend that, or use `--out FILE`.")


def _read_file(path: Path) -> bytes | None:
    """The bytes of a regular file, None where there is none."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OperatorError(f"{path} is not a regular file. Name a file, or use `--out FILE`.")
    # Should a pipe have come in its place meanwhile, nobody waits for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise OperatorError(f"{path} is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB. {ELSEWHERE}")
    return data


def _make_folder(folder: Path) -> None:
    # Path.mkdir(parents=True) gives its mode to the last one only.
    for one in (*reversed(folder.parents), folder):
        if not one.exists():
            one.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _locks(path: Path, target: Path) -> Iterator[None]:
    """Holds kubectl's own locks: of the name that was given and, behind a link, of the file that is replaced."""
    named = path.parent.resolve() / path.name
    with ExitStack() as held:
        for one in sorted({named, target}):
            lock = one.with_name(f"{one.name}.lock")
            try:
                os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0))
            except FileExistsError:
                raise OperatorError(
                    f"{lock} is there: kubectl or another program is writing the file. Run the command again; "
                    "if nothing is running that writes it, delete the lock."
                ) from None
            held.callback(lock.unlink, missing_ok=True)
        yield


def _replace(target: Path, before: bytes | None, data: bytes, backup_time: str | None) -> Path | None:
    with ExitStack() as undo:
        owner = target.stat() if before is not None else None
        backup = None
        if before is not None and backup_time is not None:
            backup, descriptor = _new_backup(target, backup_time)
            undo.callback(backup.unlink, missing_ok=True)
            _write_durably(descriptor, before, owner)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        undo.callback(Path(name).unlink, missing_ok=True)
        _write_durably(descriptor, data, owner)
        Path(name).replace(target)
        undo.pop_all()
    with suppress(OSError):
        _sync_folder(target.parent)
    return backup


def _sync_folder(folder: Path) -> None:
    # The rename itself outlasts a loss of power only when the folder is written too; not every file system can.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _new_backup(target: Path, time: str) -> tuple[Path, int]:
    """A new empty file, open for writing; one that is there is never taken."""
    for number in count(1):
        backup = target.with_name(f"{target.name}.backup-{time}" + (f"-{number}" if number > 1 else ""))
        with suppress(FileExistsError):
            return backup, os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    raise AssertionError("count() does not end")


def _write_durably(descriptor: int, data: bytes, owner: os.stat_result | None) -> None:
    with os.fdopen(descriptor, "wb") as file:
        if owner is not None:
            # Only root may give a file away; a member of its group may at least keep that.
            with suppress(OSError):
                os.fchown(descriptor, -1, owner.st_gid)
            with suppress(OSError):
                os.fchown(descriptor, owner.st_uid, -1)
        # A umask may have taken even the owner's bits.
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
