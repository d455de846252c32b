"""Whatever comes over the socket, the answer says what is wrong, in the one form that errors have."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from wire import (
    NO_ADDRESS_LIMIT,
    STATES,
    Answer,
    Pair,
    Place,
    add_user,
    call,
    check_error,
    connect,
    exchange,
    read_answer,
    replaced,
    sign,
    with_headers,
    write_request,
)

from installations import Installation, make_installation, serving
from kubecustody.catalogue.policies import READ_ONLY_ACCESS
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import (
    NewAccessKey,
    add_access_key,
    delete_access_key,
    delete_principal,
    set_access_key_disabled,
    set_principal_disabled,
)

UNKNOWN_UID = "299999999999999999"


def refuse(place: Place, code: str, path: str = STATES, query: Sequence[Pair] = (), **more: object) -> str:
    """The message of the error that this call is refused with."""
    return check_error(call(place.server, place.installation.key, path, query, **more), code, place.server.url)  # type: ignore[arg-type]


def refuse_mangled(place: Place, code: str, header: str, value: str | None) -> str:
    """The message, with one header replaced (None: left out) after signing."""
    signed = replaced(sign(place.server, place.installation.key), header, value)
    return check_error(exchange(place.server, write_request(signed)), code, place.server.url)


# --- parameters


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("page_number", "0", "page_number: is 0; it must be an integer from 1 to 2147483647."),
        ("page_number", "-1", "page_number: is -1; it must be an integer from 1 to 2147483647."),
        ("page_number", str(2**31), "page_number: is 2147483648; it must be an integer from 1 to 2147483647."),
        ("page_number", str(10**30), "page_number: is out of bounds; it must be an integer from 1 to 2147483647."),
        ("page_number", "first", "page_number: is 'first'; it must be an integer from 1 to 2147483647."),
        ("page_number", "", "page_number: is ''; it must be an integer from 1 to 2147483647."),
        ("page_number", "1.0", "page_number: is '1.0'; it must be an integer from 1 to 2147483647."),
        ("page_number", "+1", "page_number: is '+1'; it must be an integer from 1 to 2147483647."),
        ("page_number", "١", r"page_number: is '\u0661'; it must be an integer from 1 to 2147483647."),
        ("page_size", "0", "page_size: is 0; it must be an integer from 1 to 100."),
        ("page_size", "101", "page_size: is 101; it must be an integer from 1 to 100."),
        ("page_size", "all", "page_size: is 'all'; it must be an integer from 1 to 100."),
        ("detail", "maybe", "detail: is 'maybe'; it must be true or false."),
        ("detail", "\x1b[31m<b>", r"detail: is '\x1b[31m<b>'; it must be true or false."),
    ],
)
def test_parameter_out_of_bounds_is_told_with_its_bounds(place: Place, name: str, value: str, told: str) -> None:
    assert refuse(place, "InvalidParameter", query=[(name, value)]) == told


def test_page_number_at_its_greatest_is_an_empty_page(place: Place) -> None:
    answer = call(place.server, place.installation.key, query=[("page_number", str(2**31 - 1))])
    assert answer.json == {"states": [], "page": {"page_number": 2**31 - 1, "page_size": 50, "total_count": 1}}


def test_repeated_parameter_is_refused_even_when_both_are_equal(place: Place) -> None:
    message = refuse(place, "InvalidParameter", query=[("page_number", "1"), ("page_number", "1")])
    assert message == "page_number: is given 2 times; give it once."


def test_every_fault_is_named_at_once_in_the_order_of_the_operation(place: Place) -> None:
    path = "/users/alice/kubeconfig/states"
    message = refuse(place, "InvalidParameter", path, [("detail", "2"), ("page_size", "101"), ("page_number", "x")])
    assert [message.index(name) for name in ("Uid:", "page_number:", "page_size:", "detail:")] == sorted(
        message.index(name) for name in ("Uid:", "page_number:", "page_size:", "detail:")
    )


def test_long_value_is_not_thrown_back_whole(place: Place) -> None:
    assert len(refuse(place, "InvalidParameter", query=[("detail", "x" * 10_000)])) < 200


def test_unknown_parameter_is_passed_over(place: Place) -> None:
    assert call(place.server, place.installation.key, query=[("RegionId", "cn-hangzhou")]).status == 200


@pytest.mark.parametrize("value", ["true", "True", "TRUE", "false", "False"])
def test_boolean_is_taken_in_any_case(place: Place, value: str) -> None:
    row = call(place.server, place.installation.key, query=[("detail", value)]).json["states"][0]
    assert ("can_get_in" in row) is (value.lower() == "true")


# --- the Uid in the path


def test_empty_uid_is_the_caller(place: Place) -> None:
    assert call(place.server, place.installation.key).status == 200


def test_unknown_uid_is_told_and_says_what_to_give(place: Place) -> None:
    message = refuse(place, "EntityNotExist.User", f"/users/{UNKNOWN_UID}/kubeconfig/states")
    assert UNKNOWN_UID in message and "RAM user or role of this account" in message


@pytest.mark.parametrize(
    ("segment", "shown"),
    [
        ("a%2Fb", "'a/b'"),
        ("alice", "'alice'"),
        ("%E4%BD%A0%E5%A5%BD", r"'\u4f60\u597d'"),
        ("%D9%A1", r"'\u0661'"),
        ("1" * 33, "'" + "1" * 33 + "'"),
        ("9" * 10_240, "'" + "9" * 40 + "...'"),
        ("2%00", r"'2\x00'"),
        ("%20", "' '"),
    ],
)
def test_uid_that_is_no_uid_is_told_its_form(place: Place, segment: str, shown: str) -> None:
    message = refuse(place, "InvalidParameter", f"/users/{segment}/kubeconfig/states")
    assert message == f"Uid: is {shown}; it must be a Uid: 1 to 32 digits."


def test_uid_that_is_not_utf8_is_told_so(place: Place) -> None:
    assert refuse(place, "InvalidParameter", "/users/%FF%FE/kubeconfig/states") == "Uid: is not UTF-8."


@pytest.mark.parametrize("segment", [".", "..", "%2e", "%2E%2e", ".%2E", "a%2F..", "..%2F"])
def test_dot_segment_is_refused_encoded_or_not(place: Place, segment: str) -> None:
    message = refuse(place, "InvalidParameter", f"/users/{segment}/kubeconfig/states")
    assert "must not be a dot segment (. or ..), encoded or not." in message


def test_raw_bytes_beyond_ascii_in_the_path_are_no_request(place: Place) -> None:
    answer = exchange(place.server, b"GET /users/\xe4\xbd/kubeconfig/states HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.status == 400
    assert call(place.server, place.installation.key).status == 200


# --- path and method


@pytest.mark.parametrize(
    "path",
    ["/", "/users", "/users/1/kubeconfig", f"{STATES}/", "//users//kubeconfig/states", "/Users//kubeconfig/states"],
)
def test_path_of_no_operation_is_told(place: Place, path: str) -> None:
    assert f"No operation has the path {path}." in refuse(place, "InvalidApi.NotFound", path)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_wrong_method_is_told_with_the_one_that_is_allowed(place: Place, method: str) -> None:
    answer = call(place.server, place.installation.key, method=method)
    message = check_error(answer, "UnsupportedHTTPMethod", place.server.url)
    assert answer.header("allow") == "GET"
    assert method in message and "This path takes GET." in message


def test_head_is_answered_without_a_body(place: Place) -> None:
    answer = call(place.server, place.installation.key, method="HEAD")
    assert (answer.status, answer.header("allow"), answer.body) == (400, "GET", b"")


@pytest.mark.parametrize("header", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_method_override_is_not_listened_to(place: Place, header: str) -> None:
    assert call(place.server, place.installation.key, added=[(header, "DELETE")]).status == 200
    answer = call(place.server, place.installation.key, method="POST", added=[(header, "GET")])
    check_error(answer, "UnsupportedHTTPMethod", place.server.url)


# --- the signature


def test_missing_authorization_is_told(place: Place) -> None:
    message = refuse_mangled(place, "IncompleteSignature", "authorization", None)
    assert message.endswith("the Authorization header is missing")


@pytest.mark.parametrize("cut", [1, 32, 63, 64])
def test_truncated_signature_is_told_the_form_it_must_have(place: Place, cut: int) -> None:
    signed = sign(place.server, place.installation.key)
    mangled = with_headers(signed, lambda name, value: value[:-cut] if name == "authorization" else value)
    answer = exchange(place.server, write_request(mangled))
    assert "Signature=<64 hex digits>" in check_error(answer, "IncompleteSignature", place.server.url)


def test_upper_case_hex_is_the_same_signature(place: Place) -> None:
    signed = sign(place.server, place.installation.key)
    start, _, signature = dict(signed.headers)["authorization"].rpartition("=")
    assert (
        exchange(place.server, write_request(replaced(signed, "authorization", f"{start}={signature.upper()}"))).status
        == 200
    )


def test_other_algorithm_is_told_which_one_is_spoken(place: Place) -> None:
    old = "ACS3-RSA-SHA256 Credential=AKTESTID,SignedHeaders=host,Signature=00"
    message = refuse_mangled(place, "InvalidSignatureMethod", "authorization", old)
    assert message.endswith("is not valid: ACS3-RSA-SHA256. Sign with ACS3-HMAC-SHA256.")


def test_signature_of_another_key_does_not_match(place: Place) -> None:
    installation = place.installation
    other: NewAccessKey = installation.change(add_access_key, installation.account_id)
    signed = sign(place.server, installation.key, secret=other.secret.encode())
    answer = exchange(place.server, write_request(signed))
    message = check_error(answer, "SignatureDoesNotMatch", place.server.url)
    assert "server StringToSign is [ACS3-HMAC-SHA256\n" in message
    assert "server CanonicalRequest is [GET\n/users//kubeconfig/states\n" in message
    assert other.secret not in message and installation.key.secret not in message


def test_unknown_key_is_told(place: Place) -> None:
    key = NewAccessKey("KCunknown", "secret", "1")
    answer = call(place.server, key)
    assert "'KCunknown'" in check_error(answer, "InvalidAccessKeyId.NotFound", place.server.url)


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("key disabled", "InvalidAccessKeyId.Inactive"),
        ("key deleted", "InvalidAccessKeyId.NotFound"),
        ("user disabled", "InvalidAccessKeyId.Inactive"),
        ("user deleted", "InvalidAccessKeyId.NotFound"),
        ("policy detached", "StatusForbidden"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_taken_away_is_refused_at_the_very_next_request(
    withdrawing: dict[str, Place], workers: str, how: str, code: str
) -> None:
    place = withdrawing[workers]
    installation, server = place.installation, place.server
    key = add_user(installation, how.replace(" ", "-"))
    installation.change(set_attachment, READ_ONLY_ACCESS, attached=True, user=key.uid)
    assert [call(server, key).status for _ in range(8)] == [200] * 8
    match how:
        case "key disabled":
            installation.change(set_access_key_disabled, key.access_key_id, disabled=True)
        case "key deleted":
            installation.change(delete_access_key, key.access_key_id)
        case "user disabled":
            installation.change(set_principal_disabled, key.uid, disabled=True)
        case "user deleted":
            installation.change(delete_principal, key.uid)
        case _:
            installation.change(set_attachment, READ_ONLY_ACCESS, attached=False, user=key.uid)
    for _ in range(8):
        check_error(call(server, key), code, server.url)


@pytest.fixture(scope="module")
def withdrawing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Place]]:
    """By number of workers, a server whose people lose what they have."""
    one = make_installation(tmp_path_factory.mktemp("one"))
    two = make_installation(tmp_path_factory.mktemp("two"))
    with serving(one, **NO_ADDRESS_LIMIT) as first, serving(two, **NO_ADDRESS_LIMIT, workers="2") as second:
        yield {"1": Place(one, first), "2": Place(two, second)}


def test_who_has_no_policy_is_denied_with_the_providers_details(place: Place) -> None:
    key = add_user(place.installation, "denied")
    answer = call(place.server, key)
    message = check_error(answer, "StatusForbidden", place.server.url)
    assert message.startswith("RAM policy Forbidden for action cs:ListUserKubeConfigStates")
    assert answer.json["AccessDeniedDetail"] == {
        "AuthAction": "cs:ListUserKubeConfigStates",
        "AuthPrincipalDisplayName": key.uid,
        "AuthPrincipalOwnerId": place.installation.account_id,
        "AuthPrincipalType": "SubUser",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }


def test_denied_caller_learns_nothing_of_who_exists(place: Place) -> None:
    key = add_user(place.installation, "curious")
    known = call(place.server, key, f"/users/{place.installation.account_id}/kubeconfig/states").json
    unknown = call(place.server, key, f"/users/{UNKNOWN_UID}/kubeconfig/states").json
    assert known["Message"] == unknown["Message"]


# --- date and nonce


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "MissingTimestamp"),
        ("", "InvalidTimeStamp.Format"),
        ("yesterday", "InvalidTimeStamp.Format"),
        ("2026-11-24 03:00:42", "InvalidTimeStamp.Format"),
        ("2026-11-24T03:00:42+00:00", "InvalidTimeStamp.Format"),
        ("2026-02-30T03:00:42Z", "InvalidTimeStamp.Format"),
        ("2026-11-24T03:00:60Z", "InvalidTimeStamp.Format"),
    ],
)
def test_date_that_is_none_is_told_the_form_it_must_have(place: Place, value: str | None, code: str) -> None:
    assert "2026-11-24T03:00:42Z" in refuse_mangled(place, code, "x-acs-date", value)


@pytest.mark.parametrize("minutes", [16, -16])
def test_date_sixteen_minutes_off_is_told_beside_the_servers_clock(place: Place, minutes: int) -> None:
    message = refuse(place, "InvalidTimeStamp.Expired", signed_at=int(time.time()) + minutes * 60)
    assert "the server's clock " in message and "set the clock of the caller" in message


@pytest.mark.parametrize("minutes", [14, -14])
def test_date_fourteen_minutes_off_is_taken(place: Place, minutes: int) -> None:
    signed_at = int(time.time()) + minutes * 60
    assert call(place.server, place.installation.key, signed_at=signed_at).status == 200


def test_missing_nonce_is_told(place: Place) -> None:
    assert "x-acs-signature-nonce" in refuse_mangled(place, "MissingSignatureNonce", "x-acs-signature-nonce", None)


@pytest.mark.parametrize("nonce", ["", "n" * 129])
def test_nonce_empty_or_too_long_is_told_its_bounds(place: Place, nonce: str) -> None:
    assert "1 to 128 bytes" in refuse(place, "InvalidSignatureNonce", nonce=nonce)


def test_nonce_counts_once(place: Place) -> None:
    nonce = os.urandom(16).hex()
    assert call(place.server, place.installation.key, nonce=nonce).status == 200
    refuse(place, "SignatureNonceUsed", nonce=nonce)


def test_nonce_with_blanks_around_it_is_the_same_nonce(place: Place) -> None:
    nonce = os.urandom(16).hex()
    signed = sign(place.server, place.installation.key, nonce=nonce)
    assert exchange(place.server, write_request(signed)).status == 200
    padded = replaced(signed, "x-acs-signature-nonce", f"  {nonce}\t")
    check_error(exchange(place.server, write_request(padded)), "SignatureNonceUsed", place.server.url)


def test_another_key_may_use_the_same_nonce(place: Place) -> None:
    installation, nonce = place.installation, os.urandom(16).hex()
    other = installation.change(add_access_key, installation.account_id)
    assert [call(place.server, key, nonce=nonce).status for key in (installation.key, other)] == [200, 200]


def test_nonce_of_a_failed_signature_is_not_spent(place: Place) -> None:
    nonce = os.urandom(16).hex()
    refuse(place, "SignatureDoesNotMatch", nonce=nonce, secret=b"guessed")
    assert call(place.server, place.installation.key, nonce=nonce).status == 200


def test_one_request_sent_twenty_times_at_once_is_answered_once(place: Place) -> None:
    answers = send_at_once(place, 20)
    assert sorted(answer.code for answer in answers) == [""] + ["SignatureNonceUsed"] * 19


def test_two_workers_share_what_nonces_they_have_seen(withdrawing: dict[str, Place]) -> None:
    for _ in range(5):
        answers = send_at_once(withdrawing["2"], 40)
        assert sorted(answer.code for answer in answers) == [""] + ["SignatureNonceUsed"] * 39


def send_at_once(place: Place, times: int) -> list[Answer]:
    """The answers to one signed request that went out on so many connections at the same moment."""
    data = write_request(sign(place.server, place.installation.key))
    connections = [connect(place.server) for _ in range(times)]
    together = threading.Barrier(times)

    def send(number: int) -> Answer:
        together.wait()
        connections[number].sendall(data)
        return read_answer(connections[number])

    with ThreadPoolExecutor(times) as pool:
        answers = list(pool.map(send, range(times)))
    for connection in connections:
        connection.close()
    return answers


@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_nonce_is_remembered_over_a_restart(installation: Installation, way: str) -> None:
    signed_at, nonce = int(time.time()), os.urandom(16).hex()
    with serving(installation) as server:
        first = call(server, installation.key, nonce=nonce, signed_at=signed_at)
        if way == "killed":
            server.process.kill()
            server.process.wait(10)
    with serving(installation) as server:
        again = call(server, installation.key, nonce=nonce, signed_at=signed_at)
        check_error(again, "SignatureNonceUsed", server.url)
        assert call(server, installation.key).status == first.status == 200


def test_server_that_lost_its_nonces_refuses_what_was_signed_before_and_says_retry(
    installation: Installation,
) -> None:
    signed_at = int(time.time()) - 5
    installation.settings.nonces_file.unlink()
    with serving(installation) as server:
        message = check_error(
            call(server, installation.key, signed_at=signed_at), "InvalidTimeStamp.Expired", server.url
        )
        assert "sign it again and retry" in message
        time.sleep(1.1)
        assert call(server, installation.key).status == 200


# --- bodies


def test_body_that_matches_its_hash_is_taken(place: Place) -> None:
    assert call(place.server, place.installation.key, body=b'{"a":1}').status == 200


def test_body_that_was_changed_on_the_way_is_told_both_hashes(place: Place) -> None:
    signed = sign(place.server, place.installation.key, body=b"signed")
    answer = exchange(place.server, write_request(signed, body=b"other!"))
    message = check_error(answer, "ContentSha256NotMatched", place.server.url)
    assert dict(signed.headers)["x-acs-content-sha256"] in message


def test_body_larger_than_the_limit_is_refused_before_it_is_read(place: Place) -> None:
    signed = sign(place.server, place.installation.key)
    with connect(place.server) as connection:
        connection.sendall(write_request(signed, added=[("content-length", "4097")]))
        message = check_error(read_answer(connection), "RequestEntityTooLarge", place.server.url)
    assert "4096 bytes" in message


def test_chunked_body_larger_than_the_limit_is_refused(place: Place) -> None:
    signed = sign(place.server, place.installation.key)
    data = write_request(signed, added=[("transfer-encoding", "chunked")]) + chunked(b"x" * 5000)
    check_error(exchange(place.server, data), "RequestEntityTooLarge", place.server.url)


def test_chunked_body_is_hashed_as_it_arrived(place: Place) -> None:
    signed = sign(place.server, place.installation.key, body=b"in several pieces")
    data = write_request(signed, added=[("transfer-encoding", "chunked")])
    assert exchange(place.server, data + chunked(b"in several", b" pieces")).status == 200
    signed = sign(place.server, place.installation.key, body=b"in several pieces")
    data = write_request(signed, added=[("transfer-encoding", "chunked")]) + chunked(b"in several", b" places")
    check_error(exchange(place.server, data), "ContentSha256NotMatched", place.server.url)


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_slow_body_is_told_after_the_time_for_it(place: Place) -> None:
    signed = sign(place.server, place.installation.key, body=b"slow")
    with connect(place.server) as connection:
        connection.sendall(write_request(signed, added=[("content-length", "4")]) + b"s")
        started = time.monotonic()
        message = check_error(read_answer(connection), "RequestTimeout", place.server.url)
        assert 0.4 < time.monotonic() - started < 5
    assert "0.5 seconds" in message


def test_two_lengths_are_no_request(place: Place) -> None:
    signed = sign(place.server, place.installation.key, body=b"ab")
    added = [("content-length", "2"), ("transfer-encoding", "chunked")]
    assert exchange(place.server, write_request(signed, added=added) + chunked(b"ab")).status == 400
    added = [("content-length", "2"), ("content-length", "3")]
    assert exchange(place.server, write_request(signed, added=added) + b"ab").status == 400


def test_answer_to_a_refused_body_leaves_the_connection_usable_or_closed(place: Place) -> None:
    """What of the body is still on its way is never taken for a request."""
    signed = sign(place.server, place.installation.key)
    smuggled = write_request(sign(place.server, place.installation.key))
    body = smuggled + b"x" * (5000 - len(smuggled))
    with connect(place.server, timeout=2) as connection:
        connection.sendall(write_request(signed, added=[("content-length", "5000")]) + body)
        check_error(read_answer(connection), "RequestEntityTooLarge", place.server.url)
        connection.settimeout(0.5)
        try:
            more = connection.recv(1000)
        except TimeoutError:
            more = b""
        assert more == b""


# --- headers, and the forms of one request


@pytest.mark.parametrize("header", ["x-acs-date", "x-acs-signature-nonce", "host", "authorization", "x-acs-action"])
def test_doubled_header_is_refused(place: Place, header: str) -> None:
    signed = sign(place.server, place.installation.key)
    again = dict(signed.headers)[header]
    answer = exchange(place.server, write_request(signed, added=[(header, again)]))
    assert "came twice" in check_error(answer, "IncompleteSignature", place.server.url)


def test_unsigned_header_of_the_provider_is_refused(place: Place) -> None:
    answer = call(place.server, place.installation.key, added=[("x-acs-region-id", "elsewhere")])
    assert "x-acs-region-id must be among the SignedHeaders" in check_error(
        answer, "IncompleteSignature", place.server.url
    )


def test_security_token_with_a_permanent_key_is_refused(place: Place) -> None:
    refuse(place, "InvalidSecurityToken.MismatchWithAccessKey", security_token="token")


@pytest.mark.parametrize(
    ("claim", "code"),
    [({"action": "DescribeClustersV1"}, "InvalidAction.NotFound"), ({"version": "2014-05-26"}, "InvalidVersion")],
)
def test_action_and_version_must_be_those_of_the_path(place: Place, claim: dict[str, str], code: str) -> None:
    assert next(iter(claim.values())) in refuse(place, code, **claim)


def test_content_hash_must_be_there(place: Place) -> None:
    refuse_mangled(place, "MissingContentSha256", "x-acs-content-sha256", None)


def test_query_in_another_order_still_verifies(place: Place) -> None:
    signed = sign(place.server, place.installation.key, query=[("page_number", "1"), ("page_size", "10")])
    turned = signed._replace(target=f"{STATES}?page_size=10&page_number=1")
    assert exchange(place.server, write_request(turned)).json["page"]["page_size"] == 10


@pytest.mark.parametrize("query", ["page_size=%31%30&page_number=1", "page_number=1&page_size=1%30"])
def test_query_escaped_anew_still_verifies(place: Place, query: str) -> None:
    signed = sign(place.server, place.installation.key, query=[("page_number", "1"), ("page_size", "10")])
    assert exchange(place.server, write_request(signed._replace(target=f"{STATES}?{query}"))).status == 200


def test_path_escaped_anew_still_verifies_and_names_the_same_person(place: Place) -> None:
    account = place.installation.account_id
    signed = sign(place.server, place.installation.key, f"/users/{account}/kubeconfig/states")
    escaped = "".join(f"%{ord(digit):02X}" for digit in account)
    again = signed._replace(target=f"/users/{escaped}/kubeconfig/%73tates")
    assert exchange(place.server, write_request(again)).status == 200


def test_query_that_was_changed_does_not_verify(place: Place) -> None:
    signed = sign(place.server, place.installation.key, query=[("page_size", "10")])
    answer = exchange(place.server, write_request(signed._replace(target=f"{STATES}?page_size=11")))
    check_error(answer, "SignatureDoesNotMatch", place.server.url)


def test_links_in_errors_begin_with_public_url_and_never_with_host(tmp_path: Path) -> None:
    installation = make_installation(tmp_path, public_url="https://kubecustody.example:8443")
    with serving(installation, public_url="https://kubecustody.example:8443/") as server:
        answer = call(server, installation.key, query=[("page_size", "0")], host="evil.example")
        check_error(answer, "InvalidParameter", "https://kubecustody.example:8443")
        assert b"evil" not in answer.body
        assert call(server, installation.key, host="evil.example").status == 200


@dataclass
class Nonsense:
    """Bytes that are no HTTP request."""

    name: str
    data: bytes


@pytest.mark.parametrize(
    "nonsense",
    [
        Nonsense("text", b"hello\r\n\r\n"),
        Nonsense("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)),
        Nonsense("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        Nonsense("method", b"STEAL / HTTP/1.1\r\nHost: x\r\n\r\n"),
        Nonsense("tunnel", b"CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n"),
        Nonsense("line feed in a header", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\nb\r\n\r\n"),
        Nonsense("version", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"),
    ],
    ids=lambda nonsense: nonsense.name,
)
def test_what_is_no_http_is_refused_and_the_server_goes_on(place: Place, nonsense: Nonsense) -> None:
    assert exchange(place.server, nonsense.data).status == 400
    assert call(place.server, place.installation.key).status == 200
