"""A kubeconfig is data: real ones are read whole, tricks are refused, content is never repeated."""

import base64
import json
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubecustody.kubeconfig import document
from kubecustody.kubeconfig.document import KubeconfigUnreadable, parse_kubeconfig

from .conftest import Kubectl, Person


def with_user(members: str) -> bytes:
    return f"users:\n- name: anna\n  user: {members}\n".encode()


def test_what_kubectl_writes_is_read_whole(kubectl: Kubectl, person: Person) -> None:
    kubectl.config(
        *("set-cluster", "prod", "--server=https://prod.example:6443", "--tls-server-name=kubernetes"),
        *(f"--certificate-authority={person.certificate}", "--embed-certs"),
    )
    files = (f"--client-certificate={person.certificate}", f"--client-key={person.key}", "--embed-certs")
    kubectl.config("set-credentials", "anna", *files)
    kubectl.config("set-context", "work", "--cluster=prod", "--user=anna", "--namespace=team")
    kubectl.config("set-context", "play", "--cluster=prod", "--user=anna")
    kubectl.config("use-context", "work")
    read = parse_kubeconfig(kubectl.written)
    (cluster,), (user,) = read.clusters, read.users
    assert (cluster.name, cluster.server) == ("prod", "https://prod.example:6443")
    assert (cluster.tls_server_name, cluster.faults) == ("kubernetes", ())
    assert cluster.certificate_authority == user.client_certificate == person.certificate.read_bytes()
    assert (user.name, user.client_key, user.faults) == ("anna", person.key.read_bytes(), ())
    contexts = {one.name: (one.cluster, one.user, one.namespace) for one in read.contexts}
    assert contexts == {"work": ("prod", "anna", "team"), "play": ("prod", "anna", None)}
    assert read.current_context == "work"


def test_json_that_kubectl_writes_is_read_the_same(kubectl: Kubectl, person: Person) -> None:
    kubectl.config("set-credentials", "anna", f"--client-certificate={person.certificate}", "--embed-certs")
    as_json = kubectl.config("view", "--raw", "--flatten", "-o", "json")
    assert json.loads(as_json)["kind"] == "Config"
    assert parse_kubeconfig(as_json) == parse_kubeconfig(kubectl.written)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--token=canary"], "bearer token"),
        (["--username=anna", "--password=canary"], "user name and password"),
        (["--exec-command=/bin/false", "--exec-api-version=client.authentication.k8s.io/v1"], "never run"),
        (["--auth-provider=oidc"], "auth-provider"),
        (["--client-certificate=/absent.pem"], "client-certificate names is never read from here"),
        (["--client-key=/absent.pem"], "client-key names is never read from here"),
    ],
)
def test_a_user_without_certificate_is_told_why(kubectl: Kubectl, arguments: list[str], words: str) -> None:
    kubectl.config("set-credentials", "anna", *arguments)
    (user,) = parse_kubeconfig(kubectl.written).users
    assert user.client_certificate is None
    assert words in " ".join(user.faults)
    assert "canary" not in " ".join(user.faults)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ("{tokenFile: /run/token}", "bearer token"),
        ("{client-certificate-data: '*** canary'}", "client-certificate-data is not base64"),
        ("{client-certificate-data: 'Zoë'}", "client-certificate-data is not base64"),
        ("{}", "no client certificate"),
        ("", "no client certificate"),
        ("{as: other}", "no client certificate"),
    ],
)
def test_each_lack_of_a_certificate_has_its_words(members: str, words: str) -> None:
    (user,) = parse_kubeconfig(with_user(members)).users
    assert words in " ".join(user.faults)
    assert "canary" not in repr(user)


def test_a_path_is_told_with_the_command_that_embeds_it() -> None:
    (user,) = parse_kubeconfig(with_user("{client-certificate: a.pem}")).users
    assert "embed it with `kubectl config view --flatten --raw`" in user.faults[0]


def test_a_broken_key_leaves_the_certificate() -> None:
    (user,) = parse_kubeconfig(with_user("{client-certificate-data: YWJj, client-key-data: '*'}")).users
    assert (user.client_certificate, user.client_key) == (b"abc", None)
    assert user.faults == ("Its client-key-data is not base64.",)


def test_no_file_that_is_named_is_opened_and_no_program_is_run(tmp_path: Path) -> None:
    named = tmp_path / "trap"
    text = with_user(f"{{client-certificate: {named}, tokenFile: {named}, exec: {{command: touch, args: [{named}]}}}}")
    assert len(parse_kubeconfig(text).users[0].faults) == 3
    assert not named.exists()


def test_what_weakens_a_cluster_is_named() -> None:
    members = "{insecure-skip-tls-verify: true, proxy-url: http://x, certificate-authority: /ca, server: https://x}"
    text = f"clusters:\n- name: c\n  cluster: {members}\n".encode() + with_user("{}")
    faults = " ".join(parse_kubeconfig(text).clusters[0].faults)
    assert [word in faults for word in ("insecure-skip-tls-verify", "proxy-url", "certificate-authority")] == [True] * 3


def bomb() -> bytes:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no kubeconfig"),
        (b"canary", "no kubeconfig"),
        (b"- canary", "no kubeconfig"),
        (b"{}", "no users"),
        (b"users: []", "no users"),
        (b"users: null", "no users"),
        (b"kind: Secret\nusers: []", "another kind"),
        (b"users: {canary: 1}", "`users` of the kubeconfig is not a list"),
        (b"users: [canary]", r"`users\[0\]` of the kubeconfig is not a mapping"),
        (b"users: [{name: a, user: canary}]", r"`users\[0\].user` of the kubeconfig is not a mapping"),
        (b"users: [{user: {}}]", r"`users\[0\]` of the kubeconfig has no name"),
        (b"users: [{name: a}, {name: a}]", r"`users\[1\]` .* earlier one"),
        (b"users: [{name: a, user: {client-certificate-data: [x]}}]", "client-certificate-data` .* not text"),
        (b"users: [{name: [a]}]", r"`users\[0\].name` of the kubeconfig is not text"),
        (b"users: []\ncontexts: x\n", "no users"),
        (b"users: [{name: a}]\ncontexts: x\n", "`contexts`"),
        (b"a: canary\na: canary", r"twice in one mapping \(line 2, column 1\)"),
        (b"a: canary\n---\na: b", "second document"),
        (b"a: &x canary", "anchor or alias"),
        (b"a: *canary", "anchor or alias"),
        (b"a: !!python/object/apply:os.system [canary]", "YAML tag"),
        (b"a: !!binary canary", "YAML tag"),
        (b"? [canary]\n: b", "a key is not plain text"),
        (b"a: [canary", r"not YAML: line 2, column 1"),
        (b"a: b: canary", r"not YAML: line 1, column \d+"),
        (b"\tcanary: x", r"not YAML: line 1, column 1"),
        (b"a: canary\x00", "not YAML"),
        (b"a: \xff", "not UTF-8 at byte 3"),
        (b"[" * 100_000, "deeper than 32|not YAML"),
        (b"{a: " * 100_000, "deeper than 32"),
        (b"- " * 100_000, "deeper than 32"),
        (b"a: canary\n" * 1_000_000, "larger than"),
        (bomb(), "anchor or alias"),
    ],
)
def test_what_is_no_good_kubeconfig_is_told_by_place_and_never_repeated(data: bytes, words: str) -> None:
    started = time.monotonic()
    with pytest.raises(KubeconfigUnreadable, match=words) as caught:
        parse_kubeconfig(data)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert time.monotonic() - started < 2


def test_depth_of_thirty_two_is_still_read() -> None:
    assert parse_kubeconfig(b"x: " + b"[" * 31 + b"]" * 31 + b"\n" + with_user("{}")).users


def test_repr_of_a_kubeconfig_holds_neither_key_nor_certificate() -> None:
    secret = base64.b64encode(b"canary").decode()
    read = parse_kubeconfig(with_user(f"{{client-certificate-data: {secret}, client-key-data: {secret}}}"))
    assert read.users[0].client_key == b"canary"
    assert "canary" not in repr(read)


FRAGMENTS = ("users:", "- ", "name: a", "user:", "client-certificate-data: ", "YWJj", "\n", "  ", "{", "}")
TRICKS = ("[", "]", ",", ": ", "&a ", "*a", "!!str ", "? ", "|\n", ">-\n", "'", '"', "%YAML 1.1\n", "---\n", "\x00")
fragments = st.lists(st.sampled_from((*FRAGMENTS, *TRICKS))).map("".join)


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=500) | st.text(max_size=500).map(str.encode) | fragments.map(str.encode))
@example(b"\xef\xbb\xbf")
@example(b"\xff\xfea\x00")
@example(b"<<: {users: x}")
def test_no_bytes_raise_anything_but_the_own_error(data: bytes) -> None:
    try:
        parse_kubeconfig(data)
    except KubeconfigUnreadable:
        return


def test_without_the_c_parser_the_same_is_read_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "ReadingLoader", document.yaml.SafeLoader)
    assert parse_kubeconfig(with_user("{client-certificate-data: YWJj}")).users[0].client_certificate == b"abc"
    for data in (b"[" * 5000, bomb(), b"a: canary\x00", b"a: [", b"a: 1\na: 2"):
        with pytest.raises(KubeconfigUnreadable):
            parse_kubeconfig(data)
