"""Every kind of file that people have, as what it offers for import."""

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import make_ca

from .conftest import Kubectl, Person

NOW = 1_795_500_000


@pytest.fixture(scope="session")
def ca() -> bytes:
    return make_ca("kubernetes", NOW, 30).certificate


def test_each_user_of_a_kubeconfig_is_one_candidate(kubectl: Kubectl, person: Person, other_person: Person) -> None:
    for name, one in (("anna", person), ("bert", other_person)):
        files = (f"--client-certificate={one.certificate}", f"--client-key={one.key}", "--embed-certs")
        kubectl.config("set-credentials", name, *files)
        kubectl.config("set-context", f"{name}-prod", f"--user={name}", "--cluster=prod")
        kubectl.config("set-context", f"{name}-test", f"--user={name}", "--cluster=test")
    kubectl.config("set-credentials", "robot", "--token=canary")
    anna, bert, robot = read_candidates(kubectl.written, "config")
    assert [one.label for one in (anna, bert, robot)] == ["config: anna", "config: bert", "config: robot"]
    assert anna.leaf and anna.leaf.common_name == "2111-1795"
    assert bert.leaf and bert.leaf.common_name == "2112-1795"
    assert (anna.private_key, bert.private_key) == (person.key.read_bytes(), other_person.key.read_bytes())
    assert robot.leaf is None
    assert robot.refusal and "bearer token" in robot.refusal


def test_pem_der_and_base64_are_told_apart(person: Person) -> None:
    pem = person.certificate.read_bytes()
    der = load_certificates(pem)[0].der
    for data in (pem, der, base64.b64encode(pem), base64.b64encode(der), b"some words\n" + pem):
        (candidate,) = read_candidates(data, "anna.crt")
        assert candidate.leaf and candidate.leaf.der == der
        assert (candidate.label, candidate.private_key, candidate.refusal) == ("anna.crt", None, None)


def test_the_leaf_of_a_pem_file_is_its_first_certificate_that_is_no_authority(person: Person, ca: bytes) -> None:
    pem, key = person.certificate.read_bytes(), person.key.read_bytes()
    for data in (pem + ca + key, ca + key + pem, key + pem + ca):
        (candidate,) = read_candidates(data, "anna.pem")
        assert candidate.leaf and candidate.leaf.common_name == "2111-1795"
        assert [one.common_name for one in candidate.intermediates] == ["kubernetes"]
        assert candidate.private_key == key
    (alone,) = read_candidates(ca, "ca.pem")
    assert alone.leaf and alone.leaf.common_name == "kubernetes"


def test_the_leaf_of_a_kubeconfig_is_the_first_as_in_a_handshake(
    kubectl: Kubectl, tmp_path: Path, person: Person, ca: bytes
) -> None:
    chain = tmp_path / "chain.pem"
    chain.write_bytes(person.certificate.read_bytes() + ca)
    kubectl.config("set-credentials", "anna", f"--client-certificate={chain}", "--embed-certs")
    (candidate,) = read_candidates(kubectl.written, "config")
    assert candidate.leaf and candidate.leaf.common_name == "2111-1795"
    assert [one.common_name for one in candidate.intermediates] == ["kubernetes"]


def test_a_key_of_another_certificate_is_left_out_and_said(person: Person, other_person: Person) -> None:
    (candidate,) = read_candidates(person.certificate.read_bytes() + other_person.key.read_bytes(), "anna.pem")
    assert candidate.leaf and candidate.private_key is None
    assert "another certificate" in candidate.remarks[0]


def test_an_encrypted_key_is_left_out_and_said(person: Person) -> None:
    command = ["openssl", "pkcs8", "-topk8", "-in", str(person.key), "-passout", "pass:secret"]
    key = subprocess.run(command, check=True, capture_output=True).stdout
    (candidate,) = read_candidates(person.certificate.read_bytes() + key, "anna.pem")
    assert candidate.leaf and candidate.private_key is None
    assert "passphrase" in candidate.remarks[0]


def test_a_kubeconfig_whose_certificate_is_none_says_so(person: Person) -> None:
    for content in (b"no certificate at all", person.key.read_bytes()):
        data = base64.b64encode(content).decode()
        text = f"users: [{{name: anna, user: {{client-certificate-data: {data}}}}}]"
        (candidate,) = read_candidates(text.encode(), "config")
        assert candidate.leaf is None
        assert candidate.refusal and candidate.refusal.startswith("client-certificate-data: ")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no kubeconfig"),
        (b"a: b", "names no users"),
        (b"\x00\x01\x02", "not YAML"),
        (b"x" * 10_000_000, "larger than"),
        (b"\x30\x82\x01\x00", "not an X.509 certificate"),
        (b"-----BEGIN CERTIFICATE-----\n", "no END line"),
    ],
)
def test_a_file_of_no_use_is_one_refusal(data: bytes, words: str) -> None:
    (candidate,) = read_candidates(data, "file")
    assert (candidate.label, candidate.leaf) == ("file", None)
    assert candidate.refusal and words in candidate.refusal


def test_repr_of_a_candidate_shows_no_key(person: Person) -> None:
    (candidate,) = read_candidates(person.certificate.read_bytes() + person.key.read_bytes(), "anna.pem")
    assert candidate.private_key
    assert "PRIVATE" not in repr(candidate)


@given(st.binary(max_size=1000))
def test_any_bytes_give_a_certificate_or_a_refusal(data: bytes) -> None:
    for candidate in read_candidates(data, "file"):
        assert (candidate.leaf is None) != (candidate.refusal is None)
