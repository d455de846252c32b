"""Certificate requests: whose key is proven is taken, and nothing else of them."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from kubecustody.core.errors import CertificateRequestRefused
from kubecustody.pki.certificate_requests import (
    MOST_CHARACTERS,
    load_certificate_request,
    make_certificate_request,
)
from kubecustody.pki.client_certificates import KeyType, make_key
from pki.openssl import Openssl

RSA = ("-algorithm", "RSA", "-pkeyopt")
EC = ("-algorithm", "EC", "-pkeyopt")

TAKEN = {
    "p256": (*EC, "ec_paramgen_curve:P-256"),
    "p384": (*EC, "ec_paramgen_curve:P-384"),
    "ed25519": ("-algorithm", "ED25519"),
    "rsa2048": (*RSA, "rsa_keygen_bits:2048"),
    "rsa3072": (*RSA, "rsa_keygen_bits:3072"),
    "rsa4096": (*RSA, "rsa_keygen_bits:4096"),
}
REFUSED = {
    "rsa512": (*RSA, "rsa_keygen_bits:512"),
    "rsa1024": (*RSA, "rsa_keygen_bits:1024"),
    "rsa2047": (*RSA, "rsa_keygen_bits:2047"),
    "rsa4104": (*RSA, "rsa_keygen_bits:4104"),
    "exponent 3": (*RSA, "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3"),
    "rsa-pss": ("-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:1024"),
    "p224": (*EC, "ec_paramgen_curve:P-224"),
    "p521": (*EC, "ec_paramgen_curve:P-521"),
    "secp256k1": (*EC, "ec_paramgen_curve:secp256k1"),
    "brainpool": (*EC, "ec_paramgen_curve:brainpoolP256r1"),
    "ed448": ("-algorithm", "ED448"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("requests")


@pytest.fixture(scope="module")
def openssl(folder: Path) -> Openssl:
    return Openssl(folder)


def make_key_file(openssl: Openssl, *options: str) -> Path:
    path = openssl.folder / f"{next(openssl.numbers)}-key.pem"
    openssl.run("genpkey", *options, "-out", path)
    return path


def request_of(openssl: Openssl, key: Path, *more: str, subject: str = "/CN=anna") -> str:
    return openssl.run("req", "-new", "-utf8", "-subj", subject, "-key", key, *more).decode()


def spki(text: bytes) -> bytes:
    return serialization.load_pem_public_key(text).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def refusal(text: str) -> str:
    with pytest.raises(CertificateRequestRefused) as caught:
        load_certificate_request(text)
    reason = caught.value.reason
    assert reason.endswith(".") and len(reason) < 200
    return reason


@pytest.fixture(scope="module")
def good(openssl: Openssl) -> str:
    return request_of(openssl, openssl.make_key("p256"))


# --- keys


@pytest.mark.parametrize("kind", TAKEN)
def test_a_good_key_is_taken_and_is_the_one_of_the_request(openssl: Openssl, kind: str) -> None:
    key = make_key_file(openssl, *TAKEN[kind])
    taken = load_certificate_request(request_of(openssl, key))
    mine = taken.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert mine == spki(openssl.run("pkey", "-in", key, "-pubout"))


@pytest.mark.parametrize("kind", REFUSED)
def test_a_weak_or_uncommon_key_is_refused(openssl: Openssl, kind: str) -> None:
    assert refusal(request_of(openssl, make_key_file(openssl, *REFUSED[kind])))


def test_a_dsa_key_is_refused(openssl: Openssl) -> None:
    parameters, key = openssl.folder / "dsa.pem", openssl.folder / "dsa-key.pem"
    openssl.run("genpkey", "-genparam", "-algorithm", "DSA", "-pkeyopt", "dsa_paramgen_bits:2048", "-out", parameters)
    openssl.run("genpkey", "-paramfile", parameters, "-out", key)
    assert refusal(request_of(openssl, key))


def test_a_curve_that_is_spelt_out_becomes_the_named_one(openssl: Openssl) -> None:
    """RFC 5480 2.1.1 allows names alone, and what is certified has one."""
    spelt = make_key_file(openssl, *EC, "ec_paramgen_curve:P-256", "-pkeyopt", "ec_param_enc:explicit")
    taken = load_certificate_request(request_of(openssl, spelt))
    der = taken.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert len(der) == 91 and bytes.fromhex("06082a8648ce3d030107") in der


def test_what_is_wrong_with_a_key_is_told(openssl: Openssl) -> None:
    assert "1024 bits; 2048 to 4096" in refusal(request_of(openssl, make_key_file(openssl, *REFUSED["rsa1024"])))
    assert "65537" in refusal(request_of(openssl, make_key_file(openssl, *REFUSED["exponent 3"])))
    assert "P-256, P-384, Ed25519 or RSA" in refusal(request_of(openssl, make_key_file(openssl, *REFUSED["p521"])))


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_request_that_is_made_here_is_taken_here_and_by_openssl(openssl: Openssl, key_type: KeyType) -> None:
    key = make_key(key_type)
    text = make_certificate_request(key)
    assert load_certificate_request(text) == key.public_key()
    openssl.run("req", "-verify", "-noout", data=text.encode())
    assert openssl.run("req", "-noout", "-subject", data=text.encode()).strip() in (b"subject=", b"subject= ")
    assert "PRIVATE" not in text


# --- proof of possession


def test_a_request_for_anothers_key_is_refused(openssl: Openssl) -> None:
    """Signed with a key that the sender has, for one that they have not."""
    mine, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(mine, hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    points = [
        key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        for key in (mine, theirs)
    ]
    assert der.count(points[0]) == 1
    swapped = der.replace(*points)
    assert x509.load_der_x509_csr(swapped).public_key() == theirs.public_key()
    assert "does not hold" in refusal(pem(swapped))


def pem(der: bytes) -> str:
    lines = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{lines}-----END CERTIFICATE REQUEST-----\n"


def never_another_key(der: bytes, key: object) -> bool:
    """Whether a damaged request is refused; one that is taken still proves the key that it had."""
    try:
        taken = load_certificate_request(pem(der))
    except CertificateRequestRefused:
        return True
    assert taken == key
    return False


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_flipped_byte_anywhere_is_refused_or_changes_nothing(key_type: KeyType) -> None:
    key = make_key(key_type)
    der = x509.load_pem_x509_csr(make_certificate_request(key).encode()).public_bytes(serialization.Encoding.DER)
    assert load_certificate_request(pem(der)) == key.public_key()
    for bit in (0x01, 0x80):
        flipped = [der[:place] + bytes([der[place] ^ bit]) + der[place + 1 :] for place in range(len(der))]
        refused = [never_another_key(one, key.public_key()) for one in flipped]
        # One byte says how many bits of the signature do not count; a few of those may be nought anyway.
        assert refused.count(False) <= 1


def test_bytes_behind_the_request_are_refused(good: str) -> None:
    der = x509.load_pem_x509_csr(good.encode()).public_bytes(serialization.Encoding.DER)
    refusal(pem(der + b"\x00"))
    refusal(pem(der[:-1]))


def test_a_key_on_no_curve_is_refused() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    for bad in (point[:33] + bytes(32), b"\x04" + b"\xff" * 64, b"\x04" + bytes(64)):
        refusal(pem(der.replace(point, bad)))


# --- the text


def test_the_text_is_one_block_and_nothing_else(good: str) -> None:
    certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    for text in (
        "",
        " ",
        good + good,
        "some text\n" + good,
        good + certificate,
        certificate + good,
        good + "some text\n",
        "\ufeff" + good,
        good.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
        good.replace("CERTIFICATE REQUEST", "CERTIFICATE"),
        good.replace("-----END CERTIFICATE REQUEST-----", ""),
        good.replace("-----BEGIN", "----BEGIN"),
        good.partition("\n")[2],
        good.replace("\n", "\nProc-Type: 4,ENCRYPTED\n", 1),
        good.replace("M", "é", 1),
        good.replace("M", "\x00", 1),
        good.replace("M", "\N{FULLWIDTH LATIN CAPITAL LETTER M}", 1),
    ):
        refusal(text)


def test_line_ends_and_blanks_around_it_do_not_matter(good: str) -> None:
    for text in (good.replace("\n", "\r\n"), good.strip(), f"\n\n  {good}\n"):
        assert load_certificate_request(text) == load_certificate_request(good)


def test_a_certificate_or_a_key_is_no_request(openssl: Openssl) -> None:
    made = openssl.make("/CN=anna")
    for text in (made.certificate.decode(), made.key.decode()):
        refusal(text)
        refusal(
            text.replace("BEGIN CERTIFICATE", "BEGIN CERTIFICATE REQUEST").replace("PRIVATE KEY", "CERTIFICATE REQUEST")
        )


def test_a_text_of_more_than_sixteen_thousand_characters_is_not_even_read(good: str) -> None:
    padded = good + " " * (MOST_CHARACTERS - len(good))
    assert load_certificate_request(padded)
    assert "16384 characters" in refusal(padded + " ")


def test_a_request_that_is_refused_is_not_repeated_in_the_refusal(openssl: Openssl) -> None:
    text = request_of(openssl, make_key_file(openssl, *REFUSED["rsa1024"]), subject="/CN=canary-in-a-request")
    assert "canary" not in refusal(text)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_bring_it_down(data: bytes) -> None:
    refusal(pem(data))
    refusal(data.decode("latin-1"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_damage_to_a_good_request_brings_it_down_or_proves_another_key(data: st.DataObject) -> None:
    der = bytearray(_GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(der) - 1))
        der[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    never_another_key(bytes(der), _KEY.public_key())


_KEY = ed25519.Ed25519PrivateKey.generate()
_GOOD = x509.load_pem_x509_csr(make_certificate_request(_KEY).encode()).public_bytes(serialization.Encoding.DER)


def test_an_rsa_request_keeps_its_exponent(openssl: Openssl) -> None:
    taken = load_certificate_request(request_of(openssl, openssl.make_key("rsa2048")))
    assert isinstance(taken, rsa.RSAPublicKey) and taken.public_numbers().e == 65537
