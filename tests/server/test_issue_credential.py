"""IssueCredential: a certificate for a key that never leaves its holder."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtensionOID, NameOID
from homes import FULL, GET, GET_V2, ISSUE, LIST, READ_ONLY, REVOKE, STATES, Home, served_home
from wire import Answer, call

from custody.books import ask as rows_of
from custody.books import contents
from kubecustody.custody.clusters import ClusterFields, add_cluster, set_cluster
from kubecustody.custody.signers import end_signer
from kubecustody.pki.certificate_requests import MOST_CHARACTERS, make_certificate_request
from kubecustody.pki.client_certificates import KeyType, make_key
from pki.openssl import Openssl

OURS = {"Action": "kubecustody:IssueCredential"}


@pytest.fixture(scope="module")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    return Openssl(tmp_path_factory.mktemp("openssl"))


def settle(home: Home) -> None:
    home.put("ours", OURS)
    home.add("anna", FULL, "ours")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("issue")) as home:
        settle(home)
        yield home


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """No private key is kept, and few credentials may be held."""
    limits = {"most_long_lived": "3", "most_temporary": "2"}
    with served_home(tmp_path_factory.mktemp("keyless"), keep_private_keys="off", **limits) as home:
        settle(home)
        yield home


def person(home: Home) -> str:
    name = f"person-{len(home.people)}"
    home.add(name, FULL, "ours")
    return name


def fresh() -> str:
    return make_certificate_request(make_key(KeyType.P256))


def issue(home: Home, who: Any, csr: str | None = None, cluster: str = "", **more: Any) -> Answer:
    body = {"Csr": fresh() if csr is None else csr, **more}
    return home.ask(who, ISSUE, cluster or home.clusters[0], body=body)


def leaf_of(answer: Answer) -> x509.Certificate:
    assert answer.status == 200, answer.body
    return x509.load_pem_x509_certificates(answer.json["certificate"].encode())[0]


def credentials(home: Home, uid: str) -> list[tuple[Any, ...]]:
    sql = "SELECT holders_key, temporary_minutes, removal_requested_at IS NOT NULL FROM credentials WHERE uid = ?"
    return rows_of(home.path, f"{sql} ORDER BY credential_no", uid)


# --- what is given


def test_a_certificate_for_the_callers_key_and_a_kubeconfig_that_lacks_only_the_key(home: Home) -> None:
    key = make_key(KeyType.P256)
    answer = issue(home, "anna", make_certificate_request(key))
    leaf = leaf_of(answer)
    assert set(answer.json) == {"certificate", "config", "expiration", "fingerprint"}
    assert leaf.public_key() == key.public_key()
    (user,) = yaml.safe_load(answer.json["config"])["users"]
    assert set(user["user"]) == {"client-certificate-data"}
    assert base64.b64decode(user["user"]["client-certificate-data"]).decode() == answer.json["certificate"]
    assert "PRIVATE" not in answer.body.decode()
    assert answer.header("cache-control") == "no-store"
    assert answer.json["expiration"] == leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    sql = "SELECT lower(hex(fingerprint)) FROM credentials WHERE uid = ? ORDER BY credential_no DESC LIMIT 1"
    assert rows_of(home.path, sql, home.people["anna"].uid) == [(answer.json["fingerprint"],)]


@pytest.mark.parametrize("kind", ["p256", "p384", "ed25519", "rsa2048"])
def test_a_request_by_openssl_is_signed_for_each_kind_of_key(
    home: Home, openssl: Openssl, kind: str, tmp_path: Path
) -> None:
    key = openssl.make_key(kind)
    answer = issue(home, person(home), openssl.run("req", "-new", "-subj", "/CN=x", "-key", key).decode())
    public = (
        leaf_of(answer)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert public == openssl.run("pkey", "-in", key, "-pubout")
    (tmp_path / "leaf.pem").write_text(answer.json["certificate"])
    ((ca,),) = rows_of(home.path, "SELECT certificate FROM signers ORDER BY cluster_seq LIMIT 1")
    (tmp_path / "ca.pem").write_text(ca)
    openssl.run(
        "verify", "-purpose", "sslclient", "-x509_strict", "-CAfile", tmp_path / "ca.pem", tmp_path / "leaf.pem"
    )


def test_nothing_but_the_key_is_taken_from_a_request(home: Home, openssl: Openssl) -> None:
    wishes = (
        "basicConstraints=critical,CA:TRUE",
        "keyUsage=critical,keyCertSign,cRLSign",
        "extendedKeyUsage=serverAuth,codeSigning",
        "subjectAltName=DNS:attacker.example,IP:192.0.2.66,URI:spiffe://attacker,email:a@attacker.example",
        "1.2.3.4.5=ASN1:UTF8String:attacker",
    )
    added = [word for wish in wishes for word in ("-addext", wish)]
    csr = openssl.run(
        "req",
        "-new",
        "-subj",
        "/O=system:masters/O=attacker/CN=kubernetes-admin/emailAddress=a@attacker.example",
        "-key",
        openssl.make_key(),
        *added,
    ).decode()
    assert "attacker" in openssl.run("req", "-noout", "-text", data=csr.encode()).decode()
    who = person(home)
    plain, wished = leaf_of(issue(home, who)), leaf_of(issue(home, who, csr))
    uid = home.people[who].uid
    assert [one.value for one in wished.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] == ["system:users"]
    (name,) = wished.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert str(name.value).startswith(f"{uid}-") and len(wished.subject) == 2
    assert [(one.oid, one.critical, one.value) for one in wished.extensions] == [
        (one.oid, one.critical, one.value) for one in plain.extensions
    ]
    constraints = wished.extensions.get_extension_for_oid(ExtensionOID.BASIC_CONSTRAINTS).value
    assert isinstance(constraints, x509.BasicConstraints) and constraints.ca is False
    assert b"attacker" not in wished.public_bytes(serialization.Encoding.DER)


def test_each_call_issues_anew_even_for_the_same_request(home: Home) -> None:
    who, csr = person(home), fresh()
    leaves = [leaf_of(issue(home, who, csr)) for _ in range(2)]
    assert leaves[0].serial_number != leaves[1].serial_number and leaves[0].subject != leaves[1].subject
    assert leaves[0].public_key() == leaves[1].public_key()


@pytest.mark.parametrize("minutes", [15, 4320])
def test_a_temporary_one_ends_when_it_was_asked_to(home: Home, minutes: int) -> None:
    leaf = leaf_of(issue(home, person(home), TemporaryDurationMinutes=minutes))
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == minutes * 60 + 300


def test_the_address_is_the_one_that_was_asked_for(home: Home) -> None:
    cluster = home.clusters[1]
    home.refusal(issue(home, "anna", cluster=cluster, PrivateIpAddress=True), "ErrorClusterState")
    home.installation.change(set_cluster, cluster, ClusterFields(private_endpoint="https://10.0.0.9:6443"))
    answer = issue(home, "anna", cluster=cluster, PrivateIpAddress=True)
    assert yaml.safe_load(answer.json["config"])["clusters"][0]["cluster"]["server"] == "https://10.0.0.9:6443"


# --- what comes of it


def test_it_is_listed_and_what_ends_ones_own_kubeconfigs_ends_it(home: Home) -> None:
    who = person(home)
    uid = home.people[who].uid
    issue(home, who)
    (row,) = [one for one in home.ask(who, STATES, uid=uid).json["states"] if one["cluster_id"] == home.clusters[0]]
    assert row["cert_state"] == "Unexpired"
    assert home.ask(who, REVOKE, home.clusters[0]).status == 200
    assert credentials(home, uid) == [(1, None, 1), (0, None, 0)]


def test_an_event_says_that_the_holder_has_the_key_and_none_that_one_was_disclosed(home: Home) -> None:
    who = person(home)
    answer = issue(home, who)
    sql = "SELECT kind, details FROM events WHERE request_id = ?"
    ((kind, details),) = rows_of(home.path, sql, answer.header("x-acs-request-id"))
    assert kind == "credential_issued" and '"holders_key":true' in details
    kept = "SELECT COUNT(*) FROM private_keys JOIN credentials USING (account_id, credential_no) WHERE uid = ?"
    assert rows_of(home.path, kept, home.people[who].uid) == [(0,)]


def test_it_never_comes_back_as_a_kubeconfig(home: Home) -> None:
    who = person(home)
    long, brief = issue(home, who), issue(home, who, TemporaryDurationMinutes=60)
    for operation in (GET, GET_V2):
        for query in ((), (("TemporaryDurationMinutes", "60"),)):
            config = home.ask(who, operation, home.clusters[0], query=query).json["config"]
            certificate = base64.b64decode(
                yaml.safe_load(config)["users"][0]["user"]["client-certificate-data"]
            ).decode()
            assert certificate not in (long.json["certificate"], brief.json["certificate"])
            assert "client-key-data" in config
    assert credentials(home, home.people[who].uid) == [(1, None, 0), (1, 60, 0), (0, None, 0), (0, 60, 0)]


def test_where_keys_are_not_kept_a_new_kubeconfig_replaces_its_own_kind_alone(keyless: Home) -> None:
    who = person(keyless)
    uid = keyless.people[who].uid
    issue(keyless, who)
    for _ in range(2):
        assert keyless.ask(who, GET, keyless.clusters[0]).status == 200
    assert credentials(keyless, uid) == [(1, None, 0), (0, None, 1), (0, None, 0)]
    issue(keyless, who, TemporaryDurationMinutes=15)
    for _ in range(2):
        assert keyless.ask(who, GET, keyless.clusters[0], query=(("TemporaryDurationMinutes", "15"),)).status == 200
    assert credentials(keyless, uid)[3:] == [(1, 15, 0), (0, 15, 1), (0, 15, 0)]
    # And one for a key of their own replaces nothing.
    issue(keyless, who)
    assert [removed for _, _, removed in credentials(keyless, uid)] == [0, 1, 0, 0, 1, 0, 0]


def test_the_limits_count_both_kinds_and_name_the_oldest(keyless: Home) -> None:
    who = person(keyless)
    first = issue(keyless, who)
    assert keyless.ask(who, GET, keyless.clusters[0]).status == 200
    assert issue(keyless, who).status == 200
    message = keyless.refusal(issue(keyless, who), "QuotaExceeded.KubeConfig")
    assert first.json["fingerprint"] in message and "3" in message
    # Its own predecessor goes, so that a kubeconfig still comes.
    assert keyless.ask(who, GET, keyless.clusters[0]).status == 200
    for _ in range(2):
        assert issue(keyless, who, TemporaryDurationMinutes=15).status == 200
    keyless.refusal(issue(keyless, who, TemporaryDurationMinutes=16), "QuotaExceeded.KubeConfig")
    answer = keyless.ask(who, GET, keyless.clusters[0], query=(("TemporaryDurationMinutes", "15"),))
    keyless.refusal(answer, "QuotaExceeded.KubeConfig")
    # Another cluster has room of its own.
    assert issue(keyless, who, cluster=keyless.clusters[1]).status == 200


def test_twenty_long_lived_ones_are_the_most_by_default(home: Home) -> None:
    who = person(home)
    assert [issue(home, who).status for _ in range(20)] == [200] * 20
    home.refusal(issue(home, who), "QuotaExceeded.KubeConfig")
    home.refusal(home.ask(who, GET, home.clusters[0]), "QuotaExceeded.KubeConfig")
    assert issue(home, who, TemporaryDurationMinutes=15).status == 200
    assert home.ask(who, REVOKE, home.clusters[0]).status == 200
    assert issue(home, who).status == 200


def test_five_hundred_temporary_ones_are_the_most_by_default(home: Home) -> None:
    who, csr = person(home), fresh()
    assert {issue(home, who, csr, TemporaryDurationMinutes=15).status for _ in range(500)} == {200}
    message = home.refusal(issue(home, who, csr, TemporaryDurationMinutes=15), "QuotaExceeded.KubeConfig")
    assert "500" in message
    assert issue(home, who).status == 200


# --- what is refused

PEM = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"


def bad_requests(openssl: Openssl) -> dict[str, str]:
    good = fresh()
    weak = openssl.folder / "weak.pem"
    openssl.run("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024", "-out", weak)
    return {
        "rsa1024": openssl.run("req", "-new", "-subj", "/CN=x", "-key", weak).decode(),
        "secp256k1": openssl.run("req", "-new", "-subj", "/CN=x", "-key", openssl.make_key("secp256k1")).decode(),
        "flipped": good[:100] + ("A" if good[100] != "A" else "B") + good[101:],
    }


def test_a_bad_request_is_refused_and_leaves_nothing(home: Home, openssl: Openssl) -> None:
    before = contents(home.path)
    for name, text in bad_requests(openssl).items():
        answer = issue(home, "anna", text)
        assert answer.code == "ErrorCertificateRequest", name
        assert home.refusal(answer, "ErrorCertificateRequest")
    assert contents(home.path) == before


def test_what_is_no_request_at_all_is_told_its_form_and_never_repeated(home: Home, openssl: Openssl) -> None:
    good, key = fresh(), openssl.make_key().read_text()
    before = contents(home.path)
    certificate = openssl.make("/CN=x").certificate.decode()
    for text in (key, key + good, certificate, good + good, "text\n" + good, good.replace("M", "é", 1), "", "please"):
        message = home.refusal(issue(home, "anna", text), "InvalidParameter")
        assert message == (
            "Csr: is not what is wanted; it must be one PEM block, from -----BEGIN CERTIFICATE REQUEST----- to "
            "-----END CERTIFICATE REQUEST-----."
        )
    assert contents(home.path) == before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "Csr"),
        ({"Csr": None}, "Csr"),
        ({"Csr": ["x"]}, "Csr"),
        ({"Csr": "x" * (MOST_CHARACTERS + 1)}, "Csr"),
        ({"Csr": PEM, "TemporaryDurationMinutes": 14}, "TemporaryDurationMinutes"),
        ({"Csr": PEM, "TemporaryDurationMinutes": 4321}, "TemporaryDurationMinutes"),
        ({"Csr": PEM, "TemporaryDurationMinutes": True}, "TemporaryDurationMinutes"),
        ({"Csr": PEM, "PrivateIpAddress": "perhaps"}, "PrivateIpAddress"),
    ],
)
def test_a_wrong_member_is_refused_by_name(home: Home, body: dict[str, Any], named: str) -> None:
    before = contents(home.path)
    message = home.refusal(home.ask("anna", ISSUE, home.clusters[0], body=body), "InvalidParameter")
    assert message.startswith(f"{named}: ") and contents(home.path) == before


def test_a_cluster_that_issues_nothing_says_so(home: Home) -> None:
    fields = ClusterFields(name="mute", public_endpoint="https://203.0.113.77:6443")
    mute = home.installation.change(add_cluster, fields)
    home.refusal(issue(home, "anna", cluster=mute), "ErrorClusterState")
    home.refusal(issue(home, "anna", cluster="c-none"), "ErrorClusterNotFound")
    assert home.installation.change(end_signer, mute).certificate is None
    home.refusal(issue(home, "anna", cluster=mute), "ErrorClusterState")


# --- who may


def test_no_wildcard_of_the_providers_actions_allows_it(home: Home) -> None:
    home.add("full", FULL)
    home.add("reader", READ_ONLY)
    home.allow("cs", {"Action": ["cs:*", "cs:IssueCredential", "*:GetClusters"]})
    for who in ("full", "reader", "cs"):
        answer = issue(home, who)
        assert "kubecustody:IssueCredential" in home.refusal(answer)
    home.allow("only", OURS)
    assert issue(home, "only").status == 200
    home.refusal(home.ask("only", LIST))
    home.refusal(home.ask("only", GET, home.clusters[0]))


def test_it_is_granted_by_cluster(home: Home) -> None:
    where = f"acs:kubecustody:*:{home.installation.account_id}:cluster/{home.clusters[1]}"
    home.allow("there", {**OURS, "Resource": where})
    assert issue(home, "there", cluster=home.clusters[1]).status == 200
    home.refusal(issue(home, "there"))
    home.allow("elsewhere", {**OURS, "Resource": home.arn(home.clusters[1])})
    home.refusal(issue(home, "elsewhere", cluster=home.clusters[1]))


def test_who_may_not_is_told_nothing_of_the_request_or_the_cluster(home: Home) -> None:
    home.add("nobody")
    told = set()
    for cluster in (home.clusters[0], "c-none"):
        for csr in (fresh(), PEM):
            answer = issue(home, "nobody", csr, cluster)
            told.add(home.refusal(answer).replace(cluster, "").replace(answer.header("x-acs-request-id"), ""))
    assert len(told) == 1


def test_an_unsigned_body_is_no_request(home: Home) -> None:
    key = home.people["anna"]
    path = f"/k8s/{home.clusters[0]}/credentials"
    answer = call(home.server, key, path, method="POST", action=ISSUE)
    home.refusal(answer, "InvalidParameter")
