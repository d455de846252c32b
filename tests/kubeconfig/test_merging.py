"""A kubeconfig merged into a person's own file: nothing that is theirs moves, and no moment leaves half a file."""

import difflib
import json
import os
import resource
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig import merging
from kubecustody.kubeconfig.merging import MergeRefused, diff_lines, merge_kubeconfig, read_existing, write_private
from kubecustody.kubeconfig.rendering import KubeconfigParts, NameStyle, render_kubeconfig

SERVER = "https://203.0.113.7:6443"
PARTS = KubeconfigParts("2001", "c1", SERVER, b"-----BEGIN ca", b"-----BEGIN certificate", b"-----BEGIN key")
OURS = render_kubeconfig(PARTS, NameStyle.UNIQUE)
RENEWED = render_kubeconfig(
    PARTS._replace(certificate=b"-----BEGIN second", private_key=b"-----BEGIN other"), NameStyle.UNIQUE
)
PROVIDERS = render_kubeconfig(PARTS, NameStyle.PROVIDER)

CLUSTER = """\
- name: "c1"
  cluster:
    server: "https://203.0.113.7:6443"
    certificate-authority-data: LS0tLS1CRUdJTiBjYQ==
"""
CONTEXT = """\
- name: "2001-c1"
  context:
    cluster: "c1"
    user: "2001-c1"
"""
USER = """\
- name: "2001-c1"
  user:
    client-certificate-data: LS0tLS1CRUdJTiBjZXJ0aWZpY2F0ZQ==
    client-key-data: LS0tLS1CRUdJTiBrZXk=
"""
NOW = datetime(2026, 11, 24, 17, 0, 5, tzinfo=UTC)


def load(text: str) -> Any:
    return yaml.load(text, Loader=merging.ReadingLoader)


def indented(text: str, by: int) -> str:
    return "".join(" " * by + line for line in text.splitlines(keepends=True))


# --- forms of files -----------------------------------------------------------------------------------------


def test_an_empty_file_becomes_the_kubeconfig_itself() -> None:
    merge = merge_kubeconfig("", OURS)
    assert merge.text == OURS
    assert merge.changes == (
        "added cluster c1",
        "added context 2001-c1",
        "added user 2001-c1",
        "current-context is 2001-c1, since none was set",
    )


@pytest.mark.parametrize("comments", ["# mine\n", "\n\n", "---\n", "--- # mine\n# more\n", "%YAML 1.1\n---\n"])
def test_a_file_of_comments_is_followed_by_the_kubeconfig(comments: str) -> None:
    assert merge_kubeconfig(comments, OURS).text == comments + OURS
    crlf = comments.replace("\n", "\r\n")
    assert merge_kubeconfig(crlf, OURS).text == crlf + OURS.replace("\n", "\r\n")


def test_a_missing_final_newline_stays_missing() -> None:
    assert merge_kubeconfig("# mine", OURS).text == "# mine\n" + OURS.removesuffix("\n")
    existing = "current-context: work\nclusters: []\ncontexts: []\nusers:\n- name: anna\n  user: {token: abc}"
    merged = merge_kubeconfig(existing, OURS).text
    assert merged == (
        f"current-context: work\nclusters:\n{CLUSTER}contexts:\n{CONTEXT}"
        f"users:\n- name: anna\n  user: {{token: abc}}\n{USER}".removesuffix("\n")
    )


def test_what_an_empty_kubectl_file_holds_is_filled() -> None:
    existing = (
        'apiVersion: v1\nclusters: null\ncontexts: []  # none yet\ncurrent-context: ""\nkind: Config\n'
        "preferences: {}\nusers:\n"
    )
    assert merge_kubeconfig(existing, OURS).text == (
        f"apiVersion: v1\nclusters:\n{CLUSTER}contexts:  # none yet\n{CONTEXT}"
        f'current-context: "2001-c1"\nkind: Config\npreferences: {{}}\nusers:\n{USER}'
    )


def test_entries_go_to_the_end_of_each_list_before_what_follows() -> None:
    existing = """\
# mine, by hand
apiVersion: v1

users:   # people
  - user:
      token: 'abc'   # until May
    name: anna

# where
clusters:
- cluster: {server: "https://192.0.2.1"}
  name: prod
  # the end of the clusters

contexts:
    -   context: {cluster: prod, user: anna}
        name: work
unknown: {a: [1, 2]}
current-context: work
# the end
"""
    merged = merge_kubeconfig(existing, OURS)
    assert merged.text == (
        existing.replace("    name: anna\n", f"    name: anna\n{indented(USER, 2)}")
        .replace("  name: prod\n", f"  name: prod\n{CLUSTER}")
        .replace("        name: work\n", f"        name: work\n{indented(CONTEXT, 4)}")
    )
    assert merged.changes[-1] == "current-context stays as it is: kubectl config use-context 2001-c1"


def test_missing_lists_are_added_at_the_end() -> None:
    existing = "kind: Config # mine\n# the end\n"
    assert merge_kubeconfig(existing, OURS).text == (
        f"kind: Config # mine\nclusters:\n{CLUSTER}contexts:\n{CONTEXT}users:\n{USER}"
        'current-context: "2001-c1"\n# the end\n'
    )


@pytest.mark.parametrize("indent", [None, 2, 4, "\t"])
@pytest.mark.parametrize("lists", [None, [], "absent", "filled"])
def test_json_stays_json(indent: Any, lists: Any) -> None:
    document: dict[str, Any] = {"kind": "Config", "current-context": "", "ext": {"a": [1, None, "é"]}}
    foreign = {
        "clusters": [{"name": "p", "cluster": {"server": "https://192.0.2.1"}}],
        "contexts": [{"name": "w", "context": {"cluster": "p", "user": "a"}}],
        "users": [{"name": "a", "user": {"token": "abc"}}],
    }
    for plural, filled in foreign.items():
        if lists != "absent":
            document[plural] = filled if lists == "filled" else lists
    ours = load(OURS)
    merged = json.loads(merge_kubeconfig(json.dumps(document, indent=indent), OURS).text)
    for plural in foreign:
        assert merged[plural] == (foreign[plural] if lists == "filled" else []) + ours[plural]
    assert merged["ext"] == document["ext"]
    assert merged["current-context"] == "2001-c1"


def test_a_flow_list_in_a_block_file_stays_one() -> None:
    existing = "users: [{name: a, user: {token: x}}, ]  # mine\nclusters: [\n]\n"
    merged = merge_kubeconfig(existing, OURS).text
    data = json.dumps({"name": "2001-c1", "user": load(OURS)["users"][0]["user"]})
    assert merged.startswith("users: [{name: a, user: {token: x}}, " + data + ", ]  # mine\nclusters: [{")
    assert load(merged)["clusters"] == load(OURS)["clusters"]


def test_a_byte_order_mark_stays_at_the_start() -> None:
    for existing in ("\ufeff", "\ufeff# mine\n", "\ufeffkind: Config\n", "\ufeff{}"):
        merged = merge_kubeconfig(existing, OURS).text
        assert merged.startswith(existing[:2].removesuffix("}"))
        assert merged.count("\ufeff") == 1
        assert load(merged[1:])["users"] == load(OURS)["users"]


def test_aliases_of_others_are_kept_and_never_followed() -> None:
    existing = "x: &x [1, 2]\ny: *x\nusers:\n- {name: a, user: &u {token: t}}\n- {name: b, user: *u}\n"
    merged = merge_kubeconfig(existing, OURS).text
    assert merged.startswith(existing + USER)


def test_block_scalars_at_the_end_of_a_list_keep_their_lines() -> None:
    existing = "clusters: []\nusers:\n- name: a\n  user:\n    token: |+\n      abc\n\n\n# people\ncontexts:\n"
    merged = merge_kubeconfig(existing, OURS).text
    assert f"      abc\n\n\n{USER}# people\n" in merged
    assert load(merged)["users"][0]["user"]["token"] == "abc\n\n\n"


# --- ours, that is there already ----------------------------------------------------------------------------


def test_the_same_twice_changes_nothing() -> None:
    once = merge_kubeconfig("users: []\n", OURS).text
    twice = merge_kubeconfig(once, OURS)
    assert twice.text == once
    assert twice.changes == (
        "cluster c1 is there already and equal",
        "context 2001-c1 is there already and equal",
        "user 2001-c1 is there already and equal",
    )


def test_a_renewed_one_replaces_the_users_data_alone() -> None:
    existing = f"users:\n- name: a\n  user: {{token: x}}\n{USER}# mine\ncontexts:\n{CONTEXT}clusters:\n{CLUSTER}"
    existing = existing.replace("  user:\n    client-c", "  user: # of work\n    client-c") + "current-context: a\n"
    merged = merge_kubeconfig(existing, RENEWED)
    changed = [(old, new) for old, new in zip(existing.split("\n"), merged.text.split("\n"), strict=True) if old != new]
    assert [(old.split(":")[0].strip(), new.split(":")[0].strip()) for old, new in changed] == [
        ("client-certificate-data", "client-certificate-data"),
        ("client-key-data", "client-key-data"),
    ]
    assert merged.changes[2] == "replaced user 2001-c1"
    assert merge_kubeconfig(merged.text, OURS).text == existing


@pytest.mark.parametrize("as_flow", [False, True])
def test_what_a_person_added_to_our_entries_is_kept(as_flow: bool) -> None:
    document = load(OURS)
    document["contexts"][0]["context"]["namespace"] = "team"
    document["clusters"][0]["cluster"]["proxy-url"] = "http://192.0.2.9"
    document["users"][0]["user"]["extensions"] = [{"name": "x", "extension": {"a": 1}}]
    existing = yaml.safe_dump(document, sort_keys=True, default_flow_style=as_flow, width=10_000)
    merged = merge_kubeconfig(existing, RENEWED)
    wanted = document | {"users": [{"name": "2001-c1", "user": load(RENEWED)["users"][0]["user"]}]}
    wanted["users"][0]["user"]["extensions"] = [{"name": "x", "extension": {"a": 1}}]
    assert load(merged.text) == wanted
    assert merged.changes == (
        "cluster c1 is there already and equal, and keeps its proxy-url",
        "context 2001-c1 is there already and equal, and keeps its namespace",
        "replaced user 2001-c1, and keeps its extensions",
    )


def test_a_key_written_as_block_scalar_is_replaced() -> None:
    existing = OURS.replace("client-key-data: LS0t", "client-key-data: >-\n      LS0t") + "# the end\n"
    merged = merge_kubeconfig(existing, RENEWED).text
    assert load(merged) == load(RENEWED)
    assert merged.endswith("\n# the end\n")


def test_a_member_that_the_new_one_has_more_is_added() -> None:
    new = render_kubeconfig(PARTS._replace(tls_server_name="api.example"), NameStyle.UNIQUE)
    merged = merge_kubeconfig(OURS, new)
    assert load(merged.text) == load(new)
    assert merged.changes[0] == "replaced cluster c1"


def test_two_clusters_of_one_person_stand_side_by_side() -> None:
    other = PARTS._replace(cluster_id="c2", server="https://203.0.113.8:6443")
    merged = merge_kubeconfig(OURS, render_kubeconfig(other, NameStyle.UNIQUE))
    document = load(merged.text)
    assert [one["name"] for one in document["clusters"]] == ["c1", "c2"]
    assert document["current-context"] == "2001-c1"


# --- what is in the way -------------------------------------------------------------------------------------


def alias_bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines) + "\n"


ELSEWHERE = "--out FILE.*KUBECONFIG="
ALONE = "--out FILE.*--kubeconfig FILE"


@pytest.mark.parametrize(
    ("existing", "words"),
    [
        ("canary", f"no mapping .*line 1.*{ELSEWHERE}"),
        ("- canary", "no mapping .*line 1"),
        ("~", "no mapping .*line 1"),
        ("a: [canary", f"not YAML on line 1.*{ELSEWHERE}"),
        ("a: 1\n\tcanary: x", "not YAML on line 2: a tab stands there"),
        ("a: canary\x00", "not YAML on line 1"),
        ("a: 1\nb: \ud800", "not UTF-8 on line 2"),
        ("a: canary\n---\nb: 1", f"second document begins .line 2.*{ELSEWHERE}"),
        ("a: canary\n...\n---\n", "second document begins .line 3"),
        ("a: canary\na: 2", "twice in one mapping .line 2"),
        ("x:\n  y: {canary: 1,\n canary: 2}", "twice in one mapping .line 3"),
        ("? [canary]\n: 1", "a key is not plain text .line 1"),
        ("a: 1\nb: *canary", "an alias has no anchor before it .line 2"),
        ("kind: Secret", "`kind` is not Config.*line 1"),
        ("kind: [Config]", "`kind` is not Config"),
        ("apiVersion: v2", "`apiVersion` is not v1"),
        ("current-context: [canary]", "current-context is not text"),
        ("x:\n  " + "[" * 65 + "]" * 65, "deeper than 64 levels .line 2"),
        ("[" * 100_000, "deeper than 64|not YAML"),
        ("x: " + "{a: " * 100_000, "deeper than 64"),
        ("- " * 100_000, "deeper than 64"),
        (alias_bomb() + "users: *a11", "`users` has a YAML anchor, alias"),
        ("#" * (16 * 1024 * 1024 + 1), f"larger than 16 MiB.*{ELSEWHERE}"),
        ("x: [" + "1," * 300_000 + "]", "more than 200000 values"),
    ],
)
def test_a_file_that_is_no_good_kubeconfig_is_told_by_place_and_never_repeated(existing: str, words: str) -> None:
    started = time.monotonic()
    assert_refused(existing, words)
    assert time.monotonic() - started < 20


def assert_refused(existing: str, words: str) -> None:
    with pytest.raises(MergeRefused, match=words) as caught:
        merge_kubeconfig(existing, OURS)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("existing", "words"),
    [
        ("users: canary", "`users` is not a list .line 1"),
        ("users: {canary: 1}", "`users` is not a list"),
        ("x: &x []\nusers: *x", "`users` has a YAML anchor, alias or tag .line 2"),
        ("users: &x []", "`users` has a YAML anchor"),
        ("users: !!seq []", "`users` has a YAML anchor, alias or tag"),
        ("&x\nusers: []", "whole file has a YAML anchor"),
        ("x: &x {users: []}\n<<: *x", "merge key .*line 2"),
        ("users: [canary]", "has no name of its own .line 1"),
        ("users:\n- null", "has no name of its own .line 2"),
        ("users: [{user: {}}]", "has no name of its own"),
        ("users: [{name: [canary]}]", "has no name of its own"),
        ("x: &x {name: canary}\nusers: [*x]", "has no name of its own .line 2"),
        ("x: &x {name: canary}\nusers: [{<<: *x}]", "has no name of its own .line 2"),
        ("users:\n- {name: canary}\n- {name: canary}", f"two entries of `users` have one name .line 3.*{ELSEWHERE}"),
    ],
)
def test_a_list_that_cannot_be_edited_safely_is_told(existing: str, words: str) -> None:
    assert_refused(existing, words)


def with_ours(old: str, new: str) -> str:
    return OURS.replace(old, new).rstrip()


@pytest.mark.parametrize(
    ("existing", "words"),
    [
        (
            'clusters: [{name: c1, cluster: {server: "https://canary"}}]',
            f"cluster c1 is there with another server.*line 1.*delete-cluster c1.*{ALONE}",
        ),
        ("clusters:\n- name: c1\n", "cluster c1 is there without members.*line 2"),
        ("clusters: [{name: c1, cluster: canary}]", "cluster c1 is there"),
        (
            with_ours("    server", "    insecure-skip-tls-verify: true\n    server"),
            "with insecure-skip-tls-verify, which",
        ),
        (with_ours("    server", "    certificate-authority: canary\n    server"), "with certificate-authority, which"),
        ("contexts: [{name: 2001-c1, context: {cluster: canary, user: 2001-c1}}]", "2001-c1 .* with another cluster"),
        ("contexts: [{name: 2001-c1, context: {cluster: c1, user: canary}}]", f"with another user.*{ALONE}"),
        ("users: [{name: 2001-c1, user: {token: canary}}]", "user 2001-c1 is there without a client certificate"),
        (OURS + "    token: canary\n", "user 2001-c1 is there with token"),
        (OURS + "    exec: {command: canary}\n", "user 2001-c1 is there with exec"),
        (with_ours("key-data: ", "key-data: &k "), "user 2001-c1 is there with a YAML anchor"),
        (with_ours("key-data: ", "key-data: !!str "), "user 2001-c1 is there with a YAML anchor, alias or tag"),
        (with_ours("key-data: L", "key-data: [L") + "]", "client-key-data of user 2001-c1 is not text"),
        (
            "contexts: [{name: canary, context: {cluster: canary, user: 2001-c1}}]",
            f"another context uses user 2001-c1 with another cluster.*{ALONE}",
        ),
        ("contexts: [{name: canary, context: {cluster: c1, user: canary}}]", "names cluster c1, which is not there"),
    ],
)
def test_what_is_in_the_way_is_told_with_the_cure(existing: str, words: str) -> None:
    assert_refused(existing, words)


def test_an_alias_bomb_beside_the_lists_is_kept_and_not_expanded() -> None:
    started = time.monotonic()
    assert merge_kubeconfig(alias_bomb(), OURS).text.startswith(alias_bomb() + "clusters:\n")
    assert time.monotonic() - started < 5


def test_the_providers_names_are_refused_where_they_are_another_clusters() -> None:
    other = render_kubeconfig(PARTS._replace(cluster_id="c2", server="https://203.0.113.8:6443"), NameStyle.PROVIDER)
    with pytest.raises(MergeRefused, match="cluster kubernetes is there with another server"):
        merge_kubeconfig(other, PROVIDERS)
    renamed = other.replace('"kubernetes"', '"prod"')
    with pytest.raises(MergeRefused, match="another context uses user 2001 with another cluster"):
        merge_kubeconfig(renamed, PROVIDERS)


def test_a_name_that_yaml_takes_for_a_number_must_be_quoted() -> None:
    with pytest.raises(MergeRefused, match=r"name of user 2001 is a number .*quotes"):
        merge_kubeconfig(PROVIDERS.replace('name: "2001"', "name: 2001"), PROVIDERS)


def test_a_switch_that_is_off_is_in_nobodys_way() -> None:
    existing = OURS.replace("    server:", "    insecure-skip-tls-verify: false\n    server:") + '    token: ""\n'
    assert merge_kubeconfig(existing, OURS).text == existing


def test_names_cannot_write_to_a_terminal() -> None:
    new = render_kubeconfig(PARTS, NameStyle.UNIQUE).replace('"c1"', '"c\\u001b[31m1"')
    assert merge_kubeconfig("", new).changes[0] == 'added cluster "c\\u001b[31m1"'


def test_a_command_that_is_told_quotes_the_name() -> None:
    new = OURS.replace('"c1"', '"$(x)"')
    with pytest.raises(MergeRefused, match=r"""delete-cluster '"\$\(x\)"'`"""):
        merge_kubeconfig(new.replace("203.0.113.7", "192.0.2.1"), new)


@pytest.mark.parametrize(
    ("incoming", "words"),
    [
        ("", "is empty"),
        ("a: [canary", "new kubeconfig cannot be read. The file is not YAML on line 1"),
        ("a: 1", "must have exactly one cluster"),
        (OURS.replace("contexts:\n", f"contexts:\n{CONTEXT.replace('2001', 'x')}"), "exactly one context"),
        (OURS.replace('    user: "2001-c1"', '    user: "canary"'), "names another cluster or user"),
        (OURS.replace("client-certificate-data", "token"), "no server or no client certificate"),
        (OURS.replace('server: "https', 'server: &x "https'), "not one that is issued here"),
        (OURS.replace('- name: "c1"', "- name: null"), "not one that is issued here"),
    ],
)
def test_only_one_of_ours_is_merged_in(incoming: str, words: str) -> None:
    with pytest.raises(MergeRefused, match=words) as caught:
        merge_kubeconfig("", incoming)
    assert "canary" not in str(caught.value)


def test_an_edit_that_would_say_something_else_is_refused_by_the_own_check() -> None:
    existing = "users:\n- name: a\n  user:\n    token: |+\n      abc"
    with pytest.raises(MergeRefused, match=r"near line 2 .*would not read as it should.*--out FILE"):
        merge_kubeconfig(existing, OURS)


def lose_first_line(text: str, index: int, lines: list[str]) -> str:
    return text[text.index("\n") + 1 :] + "\n".join(lines)


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        ("_scalar", lambda value: '"other"'),
        ("_replaced", lambda text, node, value: text.replace('""', '"other"')),
        ("_after_line", lose_first_line),
        ("_after_line", lambda text, index, lines: text + "\n: [\n"),
        ("_lines", lambda data: ["- name: other"]),
    ],
)
def test_whatever_an_edit_does_wrong_is_found_before_it_is_handed_out(
    monkeypatch: pytest.MonkeyPatch, edit: str, fault: Any
) -> None:
    existing = 'mine: 1\nclusters:\n- name: a\n  cluster: {}\ncurrent-context: ""\n'
    assert merge_kubeconfig(existing, OURS).text
    monkeypatch.setattr(merging, edit, fault)
    with pytest.raises(MergeRefused, match=r"nothing is changed.*would not read as it should"):
        merge_kubeconfig(existing, OURS)


# --- any file -----------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs", "S")), min_size=1, max_size=8)
spelled = st.one_of(
    words.map(lambda word: json.dumps(word, ensure_ascii=False)),
    words.map(lambda word: "'" + word.replace("'", "''") + "'"),
    st.sampled_from(["abc", "true", "12", "2026-11-24", "https://192.0.2.1:6443#x", "null", '""', "{}", "[1, {a: b}]"]),
)
comments = st.sampled_from(["", "", "", " # mine", '  # it\'s "mine": [ { - ', "   "])
gaps = st.sampled_from(["", "", "", "\n", "# a line: of mine\n", "\n    # deep\n\n", "#\n"])
blocks = st.sampled_from(
    ["|\n{0}  one\n{0}  two\n", ">-\n{0}  one\n\n{0}  two\n", "|+\n{0}  one\n\n", "\n{0}  plain\n{0}  more\n"]
)


member_names = st.sampled_from(["server", "cluster", "user", "token", "x-y", '"ü"'])
top_members = st.sampled_from(["kind: Config\n", "apiVersion: v1 # one\n", "preferences: {}\n", "ext:\n- [a, b]\n"])


@st.composite
def block_entries(draw: Any, plural: str) -> str:
    """A list of foreign entries in block style, with its key."""
    singular = merging.SINGULARS[plural]
    pad = " " * draw(st.sampled_from([0, 0, 2, 4]))
    inner = pad + "  " + " " * draw(st.sampled_from([1, 2, 4]))
    text = f"{plural}:{draw(comments)}\n"
    for number in range(draw(st.integers(1, 3))):
        members = []
        for member in draw(st.lists(member_names, min_size=1, unique=True)):
            value = draw(spelled.map(lambda one: f" {one}") | blocks.map(lambda one: " " + one.format(inner)))
            members.append(f"{inner}{member}:{value}" + ("" if value.endswith("\n") else draw(comments) + "\n"))
        body = f"{pad}  {singular}:{draw(comments)}\n{''.join(members)}"
        name = f"{pad}  name: n{number}{draw(comments)}\n"
        parts = draw(st.permutations([body, name]))
        item = "".join(parts)
        text += f"{pad}- {item[len(pad) + 2 :]}{draw(gaps)}"
    return text


@st.composite
def block_files(draw: Any) -> str:
    """A kubeconfig of foreign entries as a person may have written it."""
    sections = [draw(block_entries(plural)) for plural in merging.SINGULARS if draw(st.booleans()) or plural == "users"]
    sections += draw(st.sets(top_members))
    sections += draw(st.sampled_from([[], ["current-context: w # now\n"], ["current-context: 'c d'\n"]]))
    text = draw(st.sampled_from(["", "---\n", "# mine\n", "\n", "%YAML 1.1\n---\n"]))
    for section in draw(st.permutations(sections)):
        text += section + draw(gaps)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@st.composite
def flow_files(draw: Any) -> str:
    """The same as JSON, or in flow style."""
    document: dict[str, Any] = {}
    for plural, singular in merging.SINGULARS.items():
        entries = [
            {"name": f"n{number}", singular: draw(st.dictionaries(words, words, max_size=2))}
            for number in range(draw(st.integers(1, 3)))
        ]
        document[plural] = entries
    document |= draw(st.sampled_from([{}, {"current-context": "w"}, {"kind": "Config", "x": [None, 1.5, {}]}]))
    if draw(st.booleans()):
        return json.dumps(document, indent=draw(st.sampled_from([None, 1, 4, "\t"])), ensure_ascii=False)
    return yaml.safe_dump(
        document, default_flow_style=True, width=draw(st.sampled_from([20, 1000])), allow_unicode=True
    )


def others(text: str) -> dict[str, Any]:
    """What a reader of YAML finds beside our three entries and current-context."""
    document = load(text)
    for plural in merging.SINGULARS:
        kept = [one for one in document.get(plural) or [] if one["name"] not in ("c1", "2001-c1")]
        document[plural] = kept
    document.pop("current-context", None)
    return document


def ours_in(text: str) -> dict[str, Any]:
    document = load(text)
    return {
        plural: [one for one in document[plural] if one["name"] in ("c1", "2001-c1")] for plural in merging.SINGULARS
    }


def assert_merged_well(existing: str, merged: str) -> None:
    assert others(merged) == others(existing)
    assert ours_in(merged) == {plural: load(OURS)[plural] for plural in merging.SINGULARS}
    assert load(merged)["current-context"] == load(existing).get("current-context", "2001-c1")
    assert merge_kubeconfig(merged, OURS).text == merged
    renewed = merge_kubeconfig(merged, RENEWED).text
    assert others(renewed) == others(existing)
    assert merge_kubeconfig(renewed, OURS).text == merged


@settings(max_examples=100, deadline=None)
@given(block_files())
def test_a_block_file_of_any_look_only_gains_whole_lines_of_ours(existing: str) -> None:
    try:
        merged = merge_kubeconfig(existing, OURS).text
    except MergeRefused as refusal:
        # One form cannot be taken: a block scalar that ends with the file, without the end of its line.
        assert not existing.endswith("\n")
        assert "would not read as it should" in str(refusal)
        return
    assert_merged_well(existing, merged)
    newline = "\r\n" if "\r\n" in existing else "\n"
    before, after = existing.split(newline), merged.split(newline)
    compared = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    assert {tag for tag, *_ in compared} == {"equal", "insert"}
    gained = [line.strip() for tag, _, _, start, end in compared if tag == "insert" for line in after[start:end]]
    assert set(gained) <= {line.strip() for line in OURS.split("\n") if line}


@settings(max_examples=70, deadline=None)
@given(flow_files())
def test_a_flow_file_of_any_look_only_gains_our_json(existing: str) -> None:
    merged = merge_kubeconfig(existing, OURS).text
    assert_merged_well(existing, merged)
    for plural, (entry,) in ((plural, load(OURS)[plural]) for plural in merging.SINGULARS):
        assert merged.count(json.dumps(entry)) == 1, plural
        merged = without(merged, json.dumps(entry))
    if '"current-context": "2001-c1"' in merged:
        merged = without(merged, '"current-context": "2001-c1"')
    assert merged == existing


def without(text: str, piece: str) -> str:
    """The text without a piece and the comma and space before it."""
    start = text.index(piece)
    return text[: text.rindex(",", 0, start)] + text[start + len(piece) :]


PIECES = ("users:", "clusters:", "- ", "name: a", "user: ", "current-context:", "\n", "\r\n", "  ", "{", "}", "[", "]")
TRICKS = (
    ",",
    ": ",
    "&a ",
    "*a",
    "!!str ",
    "? ",
    "|\n",
    ">-\n",
    "'",
    '"',
    "---\n",
    "...\n",
    "#",
    "\t",
    "\x85",
    "\u2028",
)
fragments = st.lists(st.sampled_from((*PIECES, *TRICKS))).map("".join)


@settings(max_examples=200, deadline=None)
@given(fragments | st.text(max_size=100))
def test_any_text_is_merged_right_or_refused(existing: str) -> None:
    try:
        load(existing.removeprefix("\ufeff"))
        merged = merge_kubeconfig(existing, OURS).text
    except (MergeRefused, yaml.YAMLError):
        return
    assert ours_in(merged.removeprefix("\ufeff")) == {plural: load(OURS)[plural] for plural in merging.SINGULARS}
    assert merge_kubeconfig(merged, OURS).text == merged


def test_without_the_c_parser_the_same_is_edited(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["", "a: {b: , c: }\n", "users:\n- {name: é, user: {token: }}\n# x\n", "users: [{name: a, user: }]", "{}"]
    with_c = [merge_kubeconfig(text, OURS).text for text in texts]
    monkeypatch.setattr(merging, "ReadingLoader", yaml.SafeLoader)
    assert [merge_kubeconfig(text, OURS).text for text in texts] == with_c


# --- the difference -----------------------------------------------------------------------------------------

SECRETS = """\
# token: canary1
# LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0tcanary
#   canary2==
clusters:
- name: p
  cluster: {server: "https://user:canary3@192.0.2.1/", proxy-url: 'http://canary4@192.0.2.2'}
users:
- name: a
  user:
    token: canary5 # my password: canary6
    password: >-
      canary7
      canary8
- name: b
  user: {"client-key-data": "canary9", client-certificate-data: canary10, tokenFile: /canary11}
- name: c
  user:
    exec:
      command: aws
      args: [--token=canary12]
      env: [{name: X, value: canary13}]
    auth-provider: {name: oidc, config: {id-token: canary14, x: canary15}}
- name: d
  user: {<<: &shared {any: canary16}, client-key-data: |
  canary17
  }
""".replace("client-key-data: |\n  canary17\n  }", "client-key-data: canary17}")


def test_no_secret_of_anybody_is_in_the_difference() -> None:
    merged = merge_kubeconfig(SECRETS, OURS).text
    lines = [line for start in range(0, 28, 4) for line in diff_lines(SECRETS, edited_at(merged, start))]
    assert any("<masked>" in line for line in lines)
    assert not [line for line in lines if "canary" in line or "LS0t" in line]
    assert any("token: <masked>" in line for line in lines)
    assert any("https://<masked>@192.0.2.1/" in line for line in lines)


def edited_at(text: str, line: int) -> str:
    """The text with a comment put in, so that the difference shows what stands around it."""
    lines = text.split("\n")
    at = next((number for number in range(line, len(lines)) if lines[number].startswith("- ")), 0)
    return "\n".join([*lines[:at], "# put in", *lines[at:]])


@st.composite
def files_with_canaries(draw: Any) -> str:
    """A block file in which each token, password and *-data is a canary, in any spelling."""
    spelling = st.sampled_from(
        ["canary", "'canary'", '"canary"', "|\n      canary\n      canary", ">-\n      canary\n\n      canary",
         "canary\n      canary", '"a\n\n      canary"', "[canary, canary]", "{a: canary}", "&c canary", "!!str canary",
         "\n      - canary", "\n      x: canary"]
    )  # fmt: skip
    secret_member = st.sampled_from(["token", "'token'", '"client-key-data"', "password", "x-data", "id-token", "exec"])
    text = "users:\n"
    for number in range(draw(st.integers(1, 3))):
        text += f"- name: n{number}\n  user:\n    server: visible{number}\n"
        for member in draw(st.lists(secret_member, unique_by=lambda one: one.strip("'\""), min_size=1)):
            text += f"    {member}: {draw(spelling)}\n" + draw(st.sampled_from(["", "    # token: canary\n", "\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@settings(max_examples=100, deadline=None)
@given(files_with_canaries())
def test_no_spelling_of_a_secret_is_in_the_difference(existing: str) -> None:
    try:
        merged = merge_kubeconfig(existing, OURS).text
    except MergeRefused:
        merged = ""
    shown = "\n".join([*diff_lines("", existing), *diff_lines(existing, merged)])
    assert "canary" not in shown
    assert "visible0" in shown


def test_a_secret_that_alone_has_changed_is_shown_as_a_change() -> None:
    lines = diff_lines(OURS, RENEWED)
    assert [line for line in lines if line[0] in "+-"] == [
        "--- before",
        "+++ after",
        "-    client-certificate-data: <masked>",
        "-    client-key-data: <masked>",
        "+    client-certificate-data: <masked>",
        "+    client-key-data: <masked>",
    ]


def test_no_change_is_no_difference() -> None:
    assert diff_lines(SECRETS, SECRETS) == []


def test_json_on_one_line_is_masked() -> None:
    existing = json.dumps({"users": [{"name": "a", "user": {"token": "canary", "x#": "#", "password": "canary"}}]})
    assert "canary" not in "\n".join(diff_lines(existing, merge_kubeconfig(existing, OURS).text))


def test_a_difference_of_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(MergeRefused):
        diff_lines("token: [canary", OURS)


# --- the file -----------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_new_file_is_private_and_so_is_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "config"
    assert write_private(path, "x: é\r\n", backup=True, now=NOW) is None
    assert path.read_bytes() == "x: é\r\n".encode()
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)
    assert names(path.parent) == {"config"}


def test_the_file_before_is_kept_beside_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("one")
    path.chmod(0o644)
    first = write_private(path, "two", backup=True, now=NOW)
    second = write_private(path, "three", backup=True, now=NOW)
    assert first == tmp_path / "config.backup-20261124T170005Z"
    assert second == tmp_path / "config.backup-20261124T170005Z-2"
    assert (first.read_text(), second.read_text(), path.read_text()) == ("one", "two", "three")
    assert {mode(one) for one in (path, first, second)} == {0o600}
    assert write_private(path, "four", backup=False, now=NOW) is None
    assert names(tmp_path) == {"config", first.name, second.name}


def test_no_umask_changes_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("one")
    before = os.umask(0o777)
    try:
        backup = write_private(path, "two", backup=True, now=NOW)
    finally:
        os.umask(before)
    assert backup is not None
    assert (mode(path), mode(backup)) == (0o600, 0o600)


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("one")
    before = path.stat()
    assert write_private(path, "one", backup=True, now=NOW) is None
    assert path.stat() == before
    assert names(tmp_path) == {"config"}


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "kube", tmp_path / "config"
    target.write_text("one")
    link.symlink_to("real/kube")
    backup = write_private(link, "two", backup=True, now=NOW)
    assert str(link.readlink()) == "real/kube"
    assert (target.read_text(), mode(target)) == ("two", 0o600)
    assert backup == tmp_path / "real" / "kube.backup-20261124T170005Z"
    target.unlink()
    write_private(link, "three", backup=True, now=NOW)
    assert target.read_text() == read_existing(link) == "three"


def test_a_folder_behind_a_link_is_locked_once(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    write_private(tmp_path / "link" / "config", "one", backup=True, now=NOW)
    assert names(tmp_path / "real") == {"config"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_root_leaves_the_file_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("one")
    os.chown(path, 1234, 2345)
    backup = write_private(path, "two", backup=True, now=NOW)
    assert backup is not None
    assert {(one.stat().st_uid, one.stat().st_gid) for one in (path, backup)} == {(1234, 2345)}


@pytest.mark.parametrize("locked", ["config.lock", "real.lock"])
def test_a_lock_of_kubectl_is_respected(tmp_path: Path, locked: str) -> None:
    path = tmp_path / "config"
    (tmp_path / "real").write_text("one")
    path.symlink_to("real")
    (tmp_path / locked).touch(0)
    with pytest.raises(OperatorError, match=f"{locked} is there: kubectl .* delete the lock"):
        write_private(path, "two", backup=True, now=NOW)
    assert names(tmp_path) == {"config", "real", locked}
    assert path.read_text() == "one"


def test_a_file_that_changed_since_it_was_read_is_left(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("theirs")
    for expected in ("", "one"):
        with pytest.raises(OperatorError, match="has changed while this ran"):
            write_private(path, "two", backup=True, now=NOW, expected=expected)
    assert path.read_text() == "theirs"
    write_private(path, "two", backup=False, now=NOW, expected="theirs")
    assert (path.read_text(), names(tmp_path)) == ("two", {"config"})


def test_writers_at_the_same_time_lose_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("# mine\n")

    def merge_in(number: int) -> None:
        new = render_kubeconfig(PARTS._replace(cluster_id=f"c{number}"), NameStyle.UNIQUE)
        for _ in range(500):
            existing = read_existing(path)
            try:
                write_private(path, merge_kubeconfig(existing, new).text, backup=True, now=NOW, expected=existing)
            except OperatorError:
                time.sleep(0.01)
            else:
                return

    threads = [threading.Thread(target=merge_in, args=[number]) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clusters = load(path.read_text())["clusters"]
    assert {one["name"] for one in clusters} == {f"c{number}" for number in range(5)}
    assert len(names(tmp_path)) == 1 + 5


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """Writing more than this to a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [2, 2000])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, size: int) -> None:
    path = tmp_path / "config"
    path.write_text("the old one")
    with limited_file_size(size), pytest.raises(OperatorError, match="cannot be written: File too large"):
        write_private(path, "canary" * 1000, backup=True, now=NOW)
    assert path.read_text() == "the old one"
    assert names(tmp_path) == {"config"}


def dies_at_line(number: int, act: Callable[[], object]) -> bool:
    """Whether a process that does this, and is killed before the n-th line of the module, was killed."""
    child = os.fork()
    if child == 0:
        left = number

        def count(frame: Any, event: str, _: object) -> Any:
            nonlocal left
            if event == "line":
                left -= 1
                if left == 0:
                    os._exit(9)
            return count

        sys.settrace(lambda frame, _, __: count if frame.f_code.co_filename == merging.__file__ else None)
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_being_killed_at_any_line_leaves_the_old_file_or_the_new_one_whole(tmp_path: Path) -> None:
    seen = []
    for number in range(1, 1000):
        path = tmp_path / str(number) / "config"
        path.parent.mkdir()
        path.write_text("old")
        killed = dies_at_line(number, lambda path=path: write_private(path, "new", backup=True, now=NOW))  # type: ignore[misc]
        seen.append(path.read_text())
        for backup in path.parent.glob("config.backup-*"):
            assert backup.read_text() in ("", "old")
            assert mode(backup) == 0o600
        if not killed:
            break
    else:
        pytest.fail("the writing does not end")
    assert len(seen) > 30
    assert seen == ["old"] * seen.count("old") + ["new"] * seen.count("new")
    assert seen.count("new") > 1


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read and write everything; here it may not."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_file_that_may_not_be_read_is_told(open_folder: Path) -> None:
    path = open_folder / "config"
    path.write_text("canary")
    path.chmod(0)
    with as_nobody(), pytest.raises(OperatorError, match=r"config cannot be read: Permission denied.*--out FILE"):
        read_existing(path)
    with as_nobody(), pytest.raises(OperatorError, match="config cannot be written: Permission denied"):
        write_private(path, "new", backup=True, now=NOW)
    assert names(open_folder) == {"config"}


def test_a_folder_that_may_not_be_written_is_told(open_folder: Path) -> None:
    path = open_folder / "config"
    path.write_text("old")
    open_folder.chmod(0o555)
    with as_nobody(), pytest.raises(OperatorError, match="config cannot be written: Permission denied"):
        write_private(path, "new", backup=True, now=NOW)
    assert (path.read_text(), names(open_folder)) == ("old", {"config"})


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    paths = {tmp_path: "not a regular file", pipe: "not a regular file", loop: "cannot be", Path("/"): "not a regular"}
    for path, words in paths.items():
        with pytest.raises(OperatorError, match=words):
            read_existing(path)
        with pytest.raises(OperatorError, match=words):
            write_private(path, "new", backup=True, now=NOW)
    (tmp_path / "file").touch()
    with pytest.raises(OperatorError, match="Not a directory"):
        write_private(tmp_path / "file" / "config", "new", backup=True, now=NOW)
    assert names(tmp_path) == {"pipe", "loop", "file"}


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config"
    assert read_existing(path) == ""
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: \xc3\xa9")
    assert read_existing(path) == "\ufeffa: 1\r\nb: é"
    path.write_bytes("a: canary".encode("utf-16"))
    with pytest.raises(OperatorError, match="not UTF-8 at byte 0") as caught:
        read_existing(path)
    assert "canary" not in str(caught.value)
    path.write_bytes(b"#" * (16 * 1024 * 1024 + 1))
    with pytest.raises(OperatorError, match="larger than 16 MiB"):
        read_existing(path)


def test_repr_of_a_merge_holds_no_text() -> None:
    assert "LS0t" not in repr(merge_kubeconfig("", OURS))
