"""Reading certificates and keys: every form, every fault told in words, no content repeated."""

import base64
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubecustody.core.errors import OperatorError
from kubecustody.pki.certificates import (
    CertificateUnreadable,
    PrivateKeyUnreadable,
    format_certificates,
    holds_private_key,
    key_matches,
    load_certificate_der,
    load_certificates,
    load_private_key,
    private_key_pem,
)
from kubecustody.pki.issuing import Draft, make_ca, make_client_certificate, self_sign

from .matrix import SUBJECT
from .openssl import LEAF, Made, Openssl


@pytest.fixture(scope="module")
def made(openssl: Openssl) -> Made:
    return openssl.make(SUBJECT, by=openssl.make_ca())


def test_facts_are_those_that_openssl_prints(openssl: Openssl, made: Made) -> None:
    certificate = load_certificates(made.certificate)[0]
    printed = openssl.run(
        *("x509", "-in", made.certificate_path, "-noout", "-fingerprint", "-sha256", "-serial")
    ).decode()
    fingerprint, serial = (line.partition("=")[2] for line in printed.splitlines())
    assert certificate.fingerprint_hex == fingerprint.replace(":", "").lower()
    assert certificate.fingerprint.hex() == certificate.fingerprint_hex
    assert certificate.serial == serial.lower().lstrip("0")
    assert (certificate.not_before, certificate.not_after) == (1_767_225_600, 2_082_758_400)
    assert (certificate.common_name, certificate.organizations) == ("2111-1795", ("system:users",))
    assert (certificate.is_ca, certificate.version) == (False, 3)


@pytest.mark.parametrize(
    ("subject", "common_name", "organizations"),
    [
        ("/CN=first/O=a/CN=last/O=b", "last", ("a", "b")),
        ("/O=b+O=a/CN=x", "x", ("b", "a")),
        ("/O=a", None, ("a",)),
        ("/CN=system:node:" + "n" * 40, "system:node:" + "n" * 40, ()),
        ("/CN=Zoë", "Zoë", ()),
    ],
)
def test_a_subject_is_read_as_go_reads_it(
    openssl: Openssl, subject: str, common_name: str | None, organizations: tuple[str, ...]
) -> None:
    key = openssl.make_key()
    pem = openssl.run("req", "-x509", "-utf8", "-multivalue-rdn", "-key", key, "-subj", subject)
    certificate = load_certificates(pem)[0]
    assert certificate.common_name == common_name
    assert sorted(certificate.organizations) == sorted(organizations)


def test_pem_der_and_base64_of_either_give_the_same(made: Made) -> None:
    pem = made.certificate
    der = load_certificates(pem)[0].der
    forms = [
        der,
        pem.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + pem,
        b"subject=/CN=x\n" + pem + b"trailing words",
        made.key + pem,
        base64.b64encode(der),
        base64.encodebytes(pem),
    ]
    assert [load_certificates(form)[0].der for form in forms] == [der] * len(forms)


def test_many_certificates_come_in_the_order_of_the_file(openssl: Openssl) -> None:
    names = [f"n{number}" for number in range(3)]
    text = b"between\n".join(openssl.make(f"/CN={name}").certificate for name in names)
    assert [one.common_name for one in load_certificates(text)] == names


def test_certificates_written_out_are_read_back_and_nothing_comes_with_them(made: Made) -> None:
    certificates = load_certificates(b"words\n" + made.key + made.certificate * 2)
    text = format_certificates(certificates)
    assert load_certificates(text.encode()) == certificates
    assert text.encode() == made.certificate * 2


def test_a_hundred_certificates_are_taken_and_one_more_is_not(made: Made) -> None:
    assert len(load_certificates(made.certificate * 100)) == 100
    with pytest.raises(CertificateUnreadable, match="holds 101 certificates"):
        load_certificates(made.certificate * 101)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds nothing"),
        (b" \n", "holds nothing"),
        (b"hello", "neither PEM nor DER"),
        (b"\x00" * 50, "neither PEM nor DER"),
        (b"x" * (1024 * 1024 + 1), "larger than"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n", "no END line"),
        (b"-----BEGIN CERTIFICATE-----\nMI*B\n-----END CERTIFICATE-----\n", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "not an X.509 certificate"),
        (
            b"-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----\n",
            "holds CERTIFICATE REQUEST",
        ),
        (b"-----BEGIN <script>-----\nMIIB\n-----END <script>-----\n", "odd name"),
        (b"\x30\x82\x01\x00\x30\x03", "not an X.509 certificate"),
        (b"\x30\x82\xff\xff" + b"\x30" * 0xFFFF, "not an X.509 certificate"),
    ],
)
def test_what_is_no_certificate_is_told_in_words(data: bytes, words: str) -> None:
    with pytest.raises(CertificateUnreadable, match=words):
        load_certificates(data)


def test_a_private_key_alone_is_named_and_not_repeated(made: Made) -> None:
    with pytest.raises(CertificateUnreadable, match="holds PRIVATE KEY, and no CERTIFICATE") as caught:
        load_certificates(made.key)
    assert made.key.splitlines()[1].decode() not in str(caught.value)


@pytest.mark.parametrize(("serial", "word"), [("-5", "negative"), ("0", "0")])
def test_a_serial_number_that_is_not_positive_is_told(openssl: Openssl, serial: str, word: str) -> None:
    pem = openssl.run("req", "-x509", "-key", openssl.make_key(), "-subj", "/CN=x", "-set_serial", serial)
    with pytest.raises(CertificateUnreadable, match=f"serial number is {word}"):
        load_certificates(pem)


@pytest.mark.parametrize(
    "extensions",
    [
        f"{LEAF}\n2.5.29.17=DER:04:02:01:02",
        f"{LEAF}\n2.5.29.31=DER:01",
        "2.5.29.19=DER:30:03:02:01",
        "2.5.29.37=DER:ff:ff",
    ],
)
def test_a_malformed_extension_is_told_and_the_certificate_is_numbered(
    openssl: Openssl, made: Made, extensions: str
) -> None:
    odd = openssl.make(SUBJECT, extensions)
    with pytest.raises(CertificateUnreadable, match=r"Certificate 2 of 2: .*breaks X\.509"):
        load_certificates(made.certificate + odd.certificate)


def test_version_1_is_read(openssl: Openssl) -> None:
    certificate = load_certificates(openssl.make(SUBJECT, "").certificate)[0]
    assert (certificate.version, certificate.is_ca, certificate.may_be_authority) == (1, False, True)


def test_a_long_name_inside_an_extension_is_no_fault_and_warns_nobody(tmp_path: Path) -> None:
    # openssl cannot make a name of more than 64 characters; the library can, and warns.
    with pytest.warns(UserWarning, match="Attribute's length"):
        long = x509.NameAttribute(x509.NameOID.COMMON_NAME, "n" * 65, _validate=False)
    names = x509.SubjectAlternativeName([x509.DirectoryName(x509.Name([long]))])
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "2111")])
    pair = self_sign(Draft(subject, 1_790_000_000, 1_790_100_000, ((names, False),)), os.urandom)
    (tmp_path / "long.pem").write_bytes(pair.certificate)
    program = "import sys, pathlib, kubecustody.pki.certificates as c; "
    program += "print(c.load_certificates(pathlib.Path(sys.argv[1]).read_bytes())[0].common_name)"
    command = [sys.executable, "-c", program, str(tmp_path / "long.pem")]
    done = subprocess.run(command, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"2111\n", b"")


def test_repr_of_a_certificate_is_short_and_holds_no_bytes(made: Made) -> None:
    assert "der=" not in repr(load_certificates(made.certificate)[0])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=3000))
@example(b"-----BEGIN ")
@example(b"-----BEGIN CERTIFICATE-----")
@example(b"0\x81")
def test_no_bytes_raise_anything_but_the_own_errors(data: bytes) -> None:
    for read in (load_certificates, load_private_key):
        try:
            read(data)
        except OperatorError:
            continue


@pytest.fixture(scope="module")
def der() -> bytes:
    ca = make_ca("ca", 1_790_000_000, 10)
    pair = make_client_certificate(ca, "2111", ["system:users"], 1_790_000_000, 1_790_100_000)
    return load_certificates(pair.certificate)[0].der


@settings(max_examples=500, deadline=None)
@given(position=st.integers(0, 10_000), replacement=st.binary(min_size=1, max_size=4), cut=st.integers(0, 40))
def test_no_damage_to_a_certificate_raises_anything_but_the_own_error(
    der: bytes, position: int, replacement: bytes, cut: int
) -> None:
    at = position % len(der)
    damaged = der[:at] + replacement + der[at + len(replacement) :]
    try:
        load_certificate_der(damaged[: len(damaged) - cut])
    except CertificateUnreadable:
        return


def test_a_megabyte_of_beginnings_is_read_in_a_moment(made: Made) -> None:
    flood = b"-----BEGIN CERTIFICATE-----\n" * 37_000
    assert load_certificates(flood[: 1024 * 1024 - 5000] + b"\n" + made.certificate)


# --- keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa2048", "ed25519"])
def test_a_key_belongs_to_its_own_certificate_only(openssl: Openssl, made: Made, kind: str) -> None:
    own = openssl.make(SUBJECT, kind=kind)
    key = load_private_key(own.key)
    assert key_matches(load_certificates(own.certificate)[0], key)
    assert not key_matches(load_certificates(made.certificate)[0], key)


@pytest.mark.parametrize(("kind", "command"), [("p256", "ec"), ("rsa2048", "rsa")])
def test_the_older_key_formats_are_read(openssl: Openssl, kind: str, command: str) -> None:
    path = openssl.make_key(kind)
    older = openssl.run(command, "-in", path, *(("-traditional",) if command == "rsa" else ()))
    assert older.startswith(b"-----BEGIN %b PRIVATE KEY-----" % command.upper().encode())
    assert load_private_key(b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + older)


def encrypted_new(openssl: Openssl) -> bytes:
    return openssl.run("pkcs8", "-topk8", "-in", openssl.make_key(), "-passout", "pass:secret")


def encrypted_old(openssl: Openssl) -> bytes:
    return openssl.run("ec", "-in", openssl.make_key(), "-aes256", "-passout", "pass:secret")


@pytest.mark.parametrize("encrypt", [encrypted_new, encrypted_old])
def test_an_encrypted_key_is_said_to_be_encrypted(openssl: Openssl, encrypt: Callable[[Openssl], bytes]) -> None:
    text = encrypt(openssl)
    assert holds_private_key(text)
    with pytest.raises(PrivateKeyUnreadable, match="encrypted with a passphrase"):
        load_private_key(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----\n", "damaged"),
        (b"-----BEGIN PRIVATE KEY-----\nTUlJ\n", "no END line"),
        (b"x" * (1024 * 1024 + 1), "larger"),
    ],
)
def test_what_is_no_key_is_told_in_words(text: bytes, words: str) -> None:
    with pytest.raises(PrivateKeyUnreadable, match=words):
        load_private_key(text)


def test_a_key_of_another_kind_is_refused(openssl: Openssl) -> None:
    with pytest.raises(PrivateKeyUnreadable, match="neither EC nor RSA nor Ed25519"):
        load_private_key(openssl.make_key("ed448").read_bytes())


def test_a_file_is_known_to_hold_a_key(made: Made) -> None:
    assert holds_private_key(made.certificate + made.key)
    assert private_key_pem(made.certificate + made.key) == made.key
    assert not holds_private_key(made.certificate)
    assert private_key_pem(made.certificate) is None


def test_importing_the_module_warns_of_nothing() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", "import kubecustody.pki.certificates"], check=True)
