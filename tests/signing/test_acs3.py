"""What the ACS3 signature promises. The vectors come from outside; each says from where."""

import hmac
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from kubecustody.core.errors import (
    ActionMismatch,
    ContentHashMismatch,
    ContentHashMissing,
    NonceMalformed,
    NonceMissing,
    SignatureError,
    SignatureIncomplete,
    SignatureMethodUnknown,
    SignatureMismatch,
    TimestampExpired,
    TimestampMalformed,
    TimestampMissing,
    VersionMismatch,
)
from kubecustody.signing.acs3 import Claim, SignedOutgoing, read_claim, sign_request, verify_signature
from kubecustody.signing.request import SignedRequest, decode_query, has_dot_segment

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NOON = 1_795_521_600  # 2026-11-24T12:00:00Z
SECRET = b"AKTESTSECRET"
KEY_ID = "AKTESTID"
Headers = list[tuple[bytes, bytes]]


def received(
    outgoing: SignedOutgoing, method: str = "GET", body: bytes = b"", headers: Headers | None = None
) -> SignedRequest:
    """The request as it arrives when its target is put on the wire unchanged."""
    path, _, query = outgoing.target.encode().partition(b"?")
    if headers is None:
        headers = [(name.encode(), value.encode()) for name, value in outgoing.headers]
    return SignedRequest(method, path, query, headers, sha256(body).hexdigest())


def signed(**changes: Any) -> SignedOutgoing:
    ordinary: dict[str, Any] = {
        "method": "GET",
        "path": "/clusters/c1/kubeconfig/states",
        "query": [("pageNumber", "2"), ("pageSize", "10")],
        "host": "cs.example:8443",
        "action": "ListClusterKubeconfigStates",
        "version": "2015-12-15",
        "access_key_id": KEY_ID,
        "secret": SECRET,
        "signed_at": NOON,
        "nonce": "a5428aa259d0fe06279a10eaa592da97",
    }
    return sign_request(**(ordinary | changes))


def verify(
    request: SignedRequest,
    *,
    now: float = NOON,
    action: str = "ListClusterKubeconfigStates",
    version: str = "2015-12-15",
    secret: bytes = SECRET,
) -> Claim:
    claim = read_claim(request, now=now, action=action, version=version)
    verify_signature(request, claim, secret)
    return claim


def with_header(name: bytes, change: Callable[[bytes], bytes | None]) -> SignedRequest:
    """An ordinary request with one header's value changed after signing, or left out."""
    request = received(signed(content_type="application/json", security_token="token"))
    changed = [(key, change(value) if key == name else value) for key, value in request.headers]
    return request._replace(headers=[(key, value) for key, value in changed if value is not None])


def with_added(*added: tuple[bytes, bytes]) -> SignedRequest:
    request = received(signed())
    return request._replace(headers=[*request.headers, *added])


def captured(wire: str) -> SignedRequest:
    """A recorded GET, from its request line to its last header."""
    start, *lines = wire.strip().splitlines()
    path, _, query = start.split()[1].encode().partition(b"?")
    headers = [line.split(": ", 1) for line in lines]
    return SignedRequest("GET", path, query, [(n.lower().encode(), v.encode()) for n, v in headers], EMPTY_SHA256)


# --- vectors of others ---------------------------------------------------------------------------------


def test_published_vector_of_the_provider_is_reproduced() -> None:
    """Provider page "Request syntax and signature method V3", section of the fixed parameter values.

    Key `YourAccessKeyId` / `YourAccessKeySecret`, ECS RunInstances; the page gives the hash of the
    canonical request and the signature that stand below.
    """
    outgoing = sign_request(
        method="POST",
        path="/",
        query=[
            ("ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"),
            ("RegionId", "cn-shanghai"),
        ],
        host="ecs.cn-shanghai.aliyuncs.com",
        action="RunInstances",
        version="2014-05-26",
        access_key_id="YourAccessKeyId",
        secret=b"YourAccessKeySecret",
        signed_at=1_698_315_752,  # 2023-10-26T10:22:32Z
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    request = received(outgoing, "POST")

    assert dict(outgoing.headers)["authorization"] == (
        "ACS3-HMAC-SHA256 Credential=YourAccessKeyId,"
        "SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version,"
        "Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )
    claim = read_claim(request, now=1_698_315_752, action="RunInstances", version="2014-05-26")
    verify_signature(request, claim, b"YourAccessKeySecret")
    with pytest.raises(SignatureMismatch) as refusal:
        verify_signature(request, claim, b"another")
    assert refusal.value.string_to_sign == (
        "ACS3-HMAC-SHA256\n7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    )


# Recorded on the wire on 2026-11-24: alibabacloud-cs20151215 7.2.3 with alibabacloud-tea-openapi 0.4.6.
PYTHON_SDK_REQUEST = """\
GET /users/2000000000000000001/kubeconfig/states?page_number=2&page_size=10 HTTP/1.1
Accept-Encoding: identity
host: 127.0.0.1:18765
x-acs-version: 2015-12-15
x-acs-action: ListUserKubeConfigStates
user-agent: AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/2
x-acs-date: 2026-11-24T03:00:42Z
x-acs-signature-nonce: a5428aa259d0fe06279a10eaa592da97
accept: application/json
x-acs-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
x-acs-credentials-provider: static_ak
Authorization: ACS3-HMAC-SHA256 Credential=AKTESTID,SignedHeaders=accept;host;user-agent;x-acs-action;\
x-acs-content-sha256;x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,\
Signature=4d3344be080441b55e88b9a0548fb44053658a6db2505bbbfe8722c89d2d4a74
"""

# Recorded on the wire on 2026-11-24: @alicloud/cs20151215 7.2.0 with @alicloud/openapi-core 1.0.8.
NODE_SDK_REQUEST = """\
GET /users/200000000000000001/kubeconfig/states?page_number=2&page_size=10 HTTP/1.1
host: 127.0.0.1:18765
x-acs-version: 2015-12-15
x-acs-action: ListUserKubeConfigStates
user-agent: AlibabaCloud (linux; x64) Node.js/v20.20.2 Core/1.0.1 TeaDSL/2
x-acs-date: 2026-11-24T03:00:44Z
x-acs-signature-nonce: 48f6d81351151876bb2f2582a6c31aa80766e4ae1f582a144e825544c8765c87
accept: application/json
x-acs-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
x-acs-credentials-provider: static_ak
Authorization: ACS3-HMAC-SHA256 Credential=AKTESTID,SignedHeaders=host;x-acs-action;x-acs-content-sha256;\
x-acs-credentials-provider;x-acs-date;x-acs-signature-nonce;x-acs-version,\
Signature=a8044fae9c0d53c3dcc14cb8726ac319d8b2bac9969ab645434b4b05a2646bac
Connection: keep-alive
"""


@pytest.mark.parametrize("wire", [PYTHON_SDK_REQUEST, NODE_SDK_REQUEST], ids=["python", "node"])
def test_recorded_request_of_a_provider_sdk_verifies(wire: str) -> None:
    claim = verify(captured(wire), now=1_795_489_244, action="ListUserKubeConfigStates")

    assert claim.access_key_id == KEY_ID
    assert claim.security_token is None


def test_claim_of_the_recorded_request_is_read() -> None:
    claim = verify(captured(PYTHON_SDK_REQUEST), now=1_795_489_244, action="ListUserKubeConfigStates")

    assert claim.signed_at == 1_795_489_242
    assert claim.nonce_expires_at == 1_795_489_242 + 900
    assert claim.nonce == "a5428aa259d0fe06279a10eaa592da97"
    assert claim.signed_headers[:3] == (b"accept", b"host", b"user-agent")
    assert claim.signature.hex().startswith("4d3344be0804")


def test_refusal_tells_the_string_to_sign_that_the_client_had() -> None:
    request = captured(PYTHON_SDK_REQUEST)
    with pytest.raises(SignatureMismatch) as refusal:
        verify(request, now=1_795_489_244, action="ListUserKubeConfigStates", secret=b"of another key")

    told = refusal.value
    assert told.string_to_sign == ("ACS3-HMAC-SHA256\n6b6fa05cd29b172e32e376b889224471b5b496b22e4a441560a4b2f6b3c88a26")
    assert sha256(told.canonical_request.encode()).hexdigest() == told.string_to_sign.splitlines()[1]


# --- what is refused without the secret ----------------------------------------------------------------

WELL_FORMED = "ACS3-HMAC-SHA256 Credential=AKTESTID,SignedHeaders=host,Signature=" + "0" * 64


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"ACS3-HMAC-SHA256",
        WELL_FORMED[:-1].encode(),
        WELL_FORMED[:-2].encode() + b"0g",
        WELL_FORMED[:-2].encode() + b"  ",
        WELL_FORMED.encode() + b"00",
        WELL_FORMED.replace("Credential=AKTESTID", "Credential=").encode(),
        WELL_FORMED.replace("AKTESTID", "AK\u00c4").encode(),
        WELL_FORMED.replace("SignedHeaders=host", "SignedHeaders=").encode(),
        WELL_FORMED.replace("SignedHeaders=host", "SignedHeaders=Host").encode(),
        WELL_FORMED.replace("SignedHeaders=host", "SignedHeaders=host;host").encode(),
        WELL_FORMED.replace("SignedHeaders=host", "SignedHeaders=x-acs-date;host").encode(),
        WELL_FORMED.replace("SignedHeaders=host", "SignedHeaders=host;").encode(),
        WELL_FORMED.replace("SignedHeaders=host", "SignedHeaders=accept").encode(),
    ],
)
def test_malformed_authorization_is_incomplete(value: bytes) -> None:
    with pytest.raises(SignatureIncomplete):
        verify(with_header(b"authorization", lambda _: value))


def test_missing_authorization_is_incomplete() -> None:
    with pytest.raises(SignatureIncomplete, check=lambda error: "missing" in error.reason):
        verify(with_header(b"authorization", lambda _: None))


@pytest.mark.parametrize("value", [b"ACS3-HMAC-SM3 Credential=a", b"acs AK:c2ln", b"Basic eA==", b"\xff\xfe"])
def test_algorithm_not_spoken_is_named(value: bytes) -> None:
    with pytest.raises(SignatureMethodUnknown):
        verify(with_header(b"authorization", lambda _: value))


@pytest.mark.parametrize("name", [b"authorization", b"host", b"content-type", b"x-acs-date", b"x-acs-signature-nonce"])
def test_doubled_header_is_refused_even_with_equal_values(name: bytes) -> None:
    request = received(signed(content_type="application/json"))
    again = next(header for header in request.headers if header[0] == name)

    with pytest.raises(SignatureIncomplete, check=lambda error: "twice" in error.reason):
        verify(request._replace(headers=[again, *request.headers]))


def test_doubled_header_that_nobody_signed_is_taken() -> None:
    verify(with_added((b"accept", b"a"), (b"accept", b"b")))


def test_unsigned_header_of_the_provider_is_refused() -> None:
    with pytest.raises(SignatureIncomplete, check=lambda error: "x-acs-security-token" in error.reason):
        verify(with_added((b"x-acs-security-token", b"smuggled")))


def test_unsigned_host_is_refused() -> None:
    with pytest.raises(SignatureIncomplete, check=lambda error: "host" in error.reason):
        verify(with_header(b"authorization", lambda value: value.replace(b";host", b"")))


@pytest.mark.parametrize("name", [b"host", b"content-type"])
def test_signed_header_that_was_not_sent_is_refused(name: bytes) -> None:
    with pytest.raises(SignatureIncomplete, check=lambda error: "not sent" in error.reason):
        verify(with_header(name, lambda _: None))


def test_content_length_with_transfer_encoding_is_refused() -> None:
    with pytest.raises(SignatureIncomplete, check=lambda error: "Transfer-Encoding" in error.reason):
        verify(with_added((b"content-length", b"0"), (b"transfer-encoding", b"chunked")))


def test_missing_date_is_told() -> None:
    with pytest.raises(TimestampMissing):
        verify(with_header(b"x-acs-date", lambda _: None))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"2026-11-24",
        b"2026-11-24 12:00:00Z",
        b"2026-11-24T12:00:00+00:00",
        b"2026-11-24T12:00:00.0Z",
        b"2026-11-24T24:00:00Z",
        b"2026-11-24T12:00:60Z",
        b"2026-02-30T12:00:00Z",
        b"0000-01-01T00:00:00Z",
        b"20261124T120000Z",
        "２０26-11-24T12:00:00Z".encode(),
        b"Tue, 24 Nov 2026 12:00:00 GMT",
        b"\xff",
    ],
)
def test_date_of_another_form_or_of_no_calendar_is_malformed(value: bytes) -> None:
    with pytest.raises(TimestampMalformed):
        verify(with_header(b"x-acs-date", lambda _: value))


@pytest.mark.parametrize("late_seconds", [900, -900, 0])
def test_date_up_to_fifteen_minutes_off_passes(late_seconds: int) -> None:
    verify(received(signed()), now=NOON + late_seconds)


@pytest.mark.parametrize("late_seconds", [901, -901, 900.001, -900.001])
def test_date_more_than_fifteen_minutes_off_is_expired(late_seconds: float) -> None:
    with pytest.raises(TimestampExpired, check=lambda error: error.value == "2026-11-24T12:00:00Z"):
        verify(received(signed()), now=NOON + late_seconds)


def test_expired_date_tells_the_time_of_the_server() -> None:
    with pytest.raises(TimestampExpired, check=lambda error: error.server_time == "2026-11-24T13:00:00Z"):
        verify(received(signed()), now=NOON + 3600)


def test_missing_nonce_is_told() -> None:
    with pytest.raises(NonceMissing):
        verify(with_header(b"x-acs-signature-nonce", lambda _: None))


@pytest.mark.parametrize("nonce", ["", " ", "n" * 129])
def test_nonce_that_is_empty_or_too_long_is_refused(nonce: str) -> None:
    with pytest.raises(NonceMalformed):
        verify(received(signed(nonce=nonce)))


def test_longest_nonce_passes() -> None:
    assert verify(received(signed(nonce="n" * 128))).nonce == "n" * 128


def test_blanks_around_a_nonce_make_no_new_nonce() -> None:
    request = with_header(b"x-acs-signature-nonce", lambda value: b" " + value + b"\t")

    assert verify(request).nonce == verify(received(signed())).nonce


def test_missing_body_hash_is_told() -> None:
    with pytest.raises(ContentHashMissing):
        verify(with_header(b"x-acs-content-sha256", lambda _: None))


def test_body_hash_that_is_not_signed_is_refused() -> None:
    drop = b"x-acs-content-sha256;"
    with pytest.raises(SignatureIncomplete, check=lambda error: "x-acs-content-sha256" in error.reason):
        verify(with_header(b"authorization", lambda value: value.replace(drop, b"")))


def test_another_body_than_the_signed_one_is_refused() -> None:
    request = received(signed(method="POST", body=b"[]"), "POST", body=b"[ ]")

    with pytest.raises(ContentHashMismatch, check=lambda error: error.actual == sha256(b"[ ]").hexdigest()):
        verify(request)


def test_body_hash_in_upper_case_is_the_same_hash() -> None:
    request = with_header(b"x-acs-content-sha256", bytes.upper)

    read_claim(request, now=NOON, action="ListClusterKubeconfigStates", version="2015-12-15")


def test_action_of_another_operation_is_refused() -> None:
    with pytest.raises(ActionMismatch, check=lambda error: error.claimed == "ListClusterKubeconfigStates"):
        verify(received(signed()), action="CleanUserPermissions")


def test_another_version_is_refused() -> None:
    with pytest.raises(VersionMismatch, check=lambda error: error.claimed == "2015-12-15"):
        verify(received(signed()), version="2014-05-26")


def test_security_token_is_left_to_the_caller() -> None:
    assert verify(received(signed(security_token="sts-token"))).security_token == "sts-token"


# --- canonical forms -----------------------------------------------------------------------------------


def on_the_wire(outgoing: SignedOutgoing, *, path: bytes | None = None, query: bytes | None = None) -> None:
    """Verify a signed request whose path or query was spelled anew on its way."""
    request = received(outgoing)
    if path is not None:
        request = request._replace(raw_path=path)
    if query is not None:
        request = request._replace(query_string=query)
    verify(request)


def test_order_of_the_query_on_the_wire_does_not_matter() -> None:
    on_the_wire(signed(), query=b"pageSize=10&pageNumber=2")


def test_shorter_key_sorts_first() -> None:
    on_the_wire(signed(query=[("ClusterIds.1", "x"), ("ClusterIds", "y")]), query=b"ClusterIds.1=x&ClusterIds=y")
    assert signed(query=[("a.b", "1"), ("a", "2")]).target.endswith("?a=2&a.b=1")


def test_doubled_parameters_have_one_order() -> None:
    outgoing = signed(query=[("k", "2"), ("k", "10"), ("k", "")])

    assert outgoing.target.endswith("?k=&k=10&k=2")
    on_the_wire(outgoing, query=b"k=10&k&k=2")


def test_space_may_be_a_plus_on_the_wire() -> None:
    outgoing = signed(query=[("name", "a b*c~d+e")])

    assert outgoing.target.endswith("?name=a%20b%2Ac~d%2Be")
    on_the_wire(outgoing, query=b"name=a+b%2Ac~d%2Be")
    on_the_wire(outgoing, query=b"name=a%20b*c%7ed%2be")


@pytest.mark.parametrize("wire", [b"name=&size=1", b"name&size=1", b"size=1&name", b"size=1&&name="])
def test_empty_value_has_two_spellings_on_the_wire(wire: bytes) -> None:
    on_the_wire(signed(query=[("name", ""), ("size", "1")]), query=wire)


def test_empty_value_may_be_signed_without_its_equals_sign() -> None:
    bare = resigned(signed(query=[("name", ""), ("size", "1")]), lambda text: text.replace("name=&", "name&"))

    on_the_wire(bare, query=b"name=&size=1")
    on_the_wire(bare, query=b"size=1&name")


def test_nameless_empty_parameter_cannot_be_added() -> None:
    with pytest.raises(SignatureMismatch):
        on_the_wire(signed(query=[]), query=b"=")


def resigned(outgoing: SignedOutgoing, change: Callable[[str], str]) -> SignedOutgoing:
    """The request as a client signs it whose canonical text differs as `change` says."""
    request = received(outgoing)
    with pytest.raises(SignatureMismatch) as refusal:
        verify(request, secret=b"none")
    text = change(refusal.value.canonical_request)
    string_to_sign = f"ACS3-HMAC-SHA256\n{sha256(text.encode()).hexdigest()}"
    signature = hmac.new(SECRET, string_to_sign.encode(), "sha256").hexdigest()
    headers = [
        (name, re.sub("[0-9a-f]{64}$", signature, value) if name == "authorization" else value)
        for name, value in outgoing.headers
    ]
    return SignedOutgoing(outgoing.target, headers)


def test_path_that_yarl_respelled_still_verifies() -> None:
    """aiohttp, under the provider's asynchronous client, sends what yarl makes of the signed path."""
    path = "/users/" + quote("a:b@c!d(e)*f=g h/i~ü", safe="~") + "/permissions"
    respelled = URL(f"https://cs.example{path}").raw_path

    assert respelled != path
    on_the_wire(signed(path=path), path=respelled.encode())


def test_path_that_node_respelled_still_verifies() -> None:
    """The provider's Node SDK signs what encodeURIComponent makes, with its `*` escaped, and sends `'` as `%27`."""
    signed_path = "/clusters/" + quote("o'h!(no)*", safe="!'()")

    on_the_wire(signed(path=signed_path), path=signed_path.replace("'", "%27").encode())


def test_query_that_yarl_respelled_still_verifies() -> None:
    outgoing = signed(query=[("name", "a:b@c!d(e)*f g/h?i~ü")])
    respelled = URL(f"https://cs.example{outgoing.target}").raw_query_string

    assert respelled != outgoing.target.partition("?")[2]
    on_the_wire(outgoing, query=respelled.encode())


def test_escaped_slash_is_no_border_of_segments() -> None:
    with pytest.raises(SignatureMismatch):
        on_the_wire(signed(path="/users/a%2Fb/permissions"), path=b"/users/a/b/permissions")


def test_empty_segment_verifies() -> None:
    on_the_wire(signed(path="/users//kubeconfig/states"))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("raw_path", b"/clusters/c1\n/kubeconfig/states"),
        ("raw_path", b"/clusters/c1/kubeconfig/states\npageNumber=2&pageSize=10\n"),
        ("method", "GET\n/"),
    ],
)
def test_line_break_inside_a_part_is_refused(part: str, value: Any) -> None:
    with pytest.raises(SignatureIncomplete, check=lambda error: "line break" in error.reason):
        verify(received(signed())._replace(**{part: value}))


def test_security_token_is_masked_in_the_refusal() -> None:
    canary = "canary-token"
    with pytest.raises(SignatureMismatch) as refusal:
        verify(received(signed(security_token=canary)), secret=b"another")

    assert canary not in refusal.value.canonical_request
    assert "\nx-acs-security-token:***\n" in refusal.value.canonical_request


def test_claim_and_request_show_no_secret_when_printed() -> None:
    request = received(signed(security_token="canary-token"))
    claim = verify(request)

    assert "canary" not in f"{claim!r} {claim} {request!r} {request}"
    assert claim.signature.hex() not in repr(request)


def test_signature_in_upper_case_is_the_same_signature() -> None:
    request = received(signed())
    headers = [(n, v[:-64] + v[-64:].upper() if n == b"authorization" else v) for n, v in request.headers]

    assert verify(request._replace(headers=headers)).signature == verify(request).signature


@pytest.mark.parametrize(
    ("raw_path", "expected"),
    [
        (b"/users/1/permissions", False),
        (b"/users//kubeconfig/states", False),
        (b"/users/..1/x", False),
        (b"/users/%252e%252e/x", False),
        (b"/users/../permissions", True),
        (b"/users/./permissions", True),
        (b"/users/%2e%2E/permissions", True),
        (b"/users/.%2e/permissions", True),
        (b"/users/a%2F..%2Fb/permissions", True),
        (b"/users/..", True),
    ],
)
def test_dot_segment_is_seen_through_escapes(raw_path: bytes, expected: bool) -> None:
    assert has_dot_segment(raw_path) is expected


# --- properties ----------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
QUERIES = st.lists(st.tuples(TEXT, TEXT), max_size=5)
PATHS = st.lists(TEXT, min_size=1, max_size=4).map(
    lambda segments: "/" + "/".join(quote(segment, safe="~") for segment in segments)
)
VISIBLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
PROPERTY = settings(deadline=None, max_examples=200)


@PROPERTY
@given(path=PATHS, query=QUERIES, nonce=VISIBLE, body=st.binary(max_size=40), token=st.none() | VISIBLE)
def test_whatever_is_signed_verifies(
    path: str, query: list[tuple[str, str]], nonce: str, body: bytes, token: str | None
) -> None:
    outgoing = signed(
        method="POST", path=path, query=query, nonce=nonce, body=body, security_token=token, content_type="x"
    )
    claim = verify(received(outgoing, "POST", body))

    assert (claim.nonce, claim.security_token) == (nonce, token)


@PROPERTY
@given(path=PATHS, query=QUERIES, order=st.randoms(use_true_random=False))
def test_form_encoded_query_in_any_order_verifies(path: str, query: list[tuple[str, str]], order: Any) -> None:
    outgoing = signed(path=path, query=query)
    order.shuffle(query)

    on_the_wire(outgoing, query=urlencode(query).encode())


@PROPERTY
@given(
    part=st.sampled_from(["method", "raw_path", "query_string", "header", "signature", "body_sha256"]),
    path=PATHS,
    query=QUERIES,
    data=st.data(),
)
def test_any_changed_byte_is_refused(part: str, path: str, query: list[tuple[str, str]], data: st.DataObject) -> None:
    request = received(signed(path=path, query=query, content_type="application/json"))
    changed = changed_request(request, part, data)
    if same_meaning(request, changed):
        return
    with pytest.raises(SignatureError):
        verify(changed)


def changed_request(request: SignedRequest, part: str, data: st.DataObject) -> SignedRequest:
    def change(value: bytes) -> bytes:
        if not value:
            return b"x"
        place = data.draw(st.integers(0, len(value) - 1))
        byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != value[place]))
        return value[:place] + bytes([byte]) + value[place + 1 :]

    if part in {"method", "body_sha256"}:
        text = change(getattr(request, part).encode()).decode("latin-1")
        changed: Any = {part: text if text.isascii() else "x"}
        return request._replace(**changed)
    if part in {"raw_path", "query_string"}:
        spelled: Any = change(getattr(request, part))
        return request._replace(**{part: spelled})
    names = [b"authorization"] if part == "signature" else [n for n, _ in request.headers]
    chosen = data.draw(st.sampled_from(names))
    headers = [(name, change(value) if name == chosen else value) for name, value in request.headers]
    return request._replace(headers=headers)


def same_meaning(one: SignedRequest, other: SignedRequest) -> bool:
    """Whether the two differ in spelling alone: escapes, hex digits' case, blanks at the ends."""

    def meaning(request: SignedRequest) -> tuple[object, ...]:
        segments = [unquote_to_bytes(segment) for segment in request.raw_path.split(b"/")]
        headers = dict(request.headers)
        head, _, signature = headers.pop(b"authorization").strip().rpartition(b"=")
        trimmed = {name: value.strip() for name, value in headers.items()}
        query = sorted(decode_query(request.query_string))
        return request.method, segments, query, trimmed, head, signature.lower(), request.body_sha256

    return meaning(one) == meaning(other)


@PROPERTY
@given(
    path=st.binary(max_size=30),
    query=st.binary(max_size=30),
    values=st.lists(st.binary(max_size=30), min_size=9, max_size=9),
    authorization=st.binary(max_size=80),
)
def test_no_bytes_raise_anything_but_a_signature_error(
    path: bytes, query: bytes, values: list[bytes], authorization: bytes
) -> None:
    ordinary = received(signed(security_token="token", extra_headers={"user-agent": "x"}))
    names = [name for name, _ in ordinary.headers if name != b"authorization"]
    for headers in (
        [*zip(names, values, strict=False), (b"authorization", authorization)],
        [(name, value or b"x") for name, value in ordinary.headers],
        [(name, values[0] if name == b"user-agent" else value) for name, value in ordinary.headers],
    ):
        request = SignedRequest("GET", path, query, headers, EMPTY_SHA256)
        try:
            verify(request, secret=b"another")
        except SignatureMismatch as error:
            error.canonical_request.encode()
        except SignatureError as error:
            str(error).encode()


# --- the provider's own function as the judge ----------------------------------------------------------

PARAMETER_NAME = st.from_regex(r"[A-Za-z][A-Za-z0-9_.]{0,11}", fullmatch=True)
# A client folds `.` and `..` away before it sends.
AWKWARD = st.text(st.sampled_from(" *~+/%=&?#:@!()',;üß漢🙂aZ0-_."), max_size=10).filter(
    lambda text: text not in {".", ".."}
)


@pytest.mark.sdk
@PROPERTY
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    segments=st.lists(AWKWARD, min_size=1, max_size=4),
    query=st.dictionaries(PARAMETER_NAME, AWKWARD | TEXT, max_size=5),
    body=st.binary(max_size=40),
)
def test_what_the_provider_sdk_signs_verifies(
    method: str, segments: list[str], query: dict[str, str], body: bytes
) -> None:
    """Names of parameters are kept plain: the SDK's function does not escape them."""
    request = request_signed_by_sdk(method, segments, query, body)

    verify(request)
    verify(request._replace(raw_path=URL(f"https://h{request.raw_path.decode()}").raw_path.encode()))


def request_signed_by_sdk(method: str, segments: list[str], query: dict[str, str], body: bytes) -> SignedRequest:
    from alibabacloud_tea_openapi.utils import Utils
    from darabonba.request import DaraRequest  # type: ignore[import-untyped]

    outgoing = DaraRequest()
    outgoing.method = method
    outgoing.pathname = "/" + "/".join(Utils.get_encode_param(segment) for segment in segments)
    outgoing.query = query
    content_hash = sha256(body).hexdigest()
    outgoing.headers = {
        "host": "cs.example:8443",
        "accept": "application/json",
        "user-agent": "AlibabaCloud (Linux; x86_64)",
        "x-acs-version": "2015-12-15",
        "x-acs-action": "ListClusterKubeconfigStates",
        "x-acs-date": "2026-11-24T12:00:00Z",
        "x-acs-signature-nonce": "a5428aa259d0fe06279a10eaa592da97",
        "x-acs-content-sha256": content_hash,
    }
    outgoing.headers["Authorization"] = Utils.get_authorization(
        outgoing, "ACS3-HMAC-SHA256", content_hash, KEY_ID, SECRET.decode()
    )
    headers = [(name.lower().encode(), value.encode()) for name, value in outgoing.headers.items()]
    # The SDK puts its query on the wire with urlencode.
    return SignedRequest(method, outgoing.pathname.encode(), urlencode(query).encode(), headers, content_hash)


def test_long_lists_of_signed_headers_are_refused_and_nothing_is_kept_of_them() -> None:
    from kubecustody.signing import acs3

    before = acs3._read_credential_part.cache_info().currsize
    for names in ([f"x{number:04}" for number in range(65)], ["y" * 1000 + str(number) for number in range(5)]):
        listed = ";".join(sorted(["host", *names])).encode()
        value = b"ACS3-HMAC-SHA256 Credential=id,SignedHeaders=" + listed + b",Signature=" + b"0" * 64
        request = SignedRequest("GET", b"/", b"", [(b"authorization", value), (b"host", b"h")], EMPTY_SHA256)
        with pytest.raises(SignatureIncomplete):
            read_claim(request, now=0, action="A", version="V")
    assert acs3._read_credential_part.cache_info().currsize <= before + 1
    assert acs3._read_credential_part.cache_info().maxsize <= 256
