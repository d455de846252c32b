"""What comes back: errors as exceptions, and answers that are none told as such, whatever a server sends."""

import re
from typing import Any

import pytest
from callers import Connect
from faulty import Act, answer, error, faulty, format_answer, raw

from kubecustody.catalogue.operations import get_operation
from kubecustody.client import NO_RETRIES, ApiError, CallFailed, Endpoint
from kubecustody.client.wire import LARGEST_ANSWER_BYTES

FOREIGN = b"<html>\x1b[31m someone else's words"


def call_of(connect: Connect, act: Act) -> CallFailed:
    """How reading a list fails."""
    with faulty(act) as server, pytest.raises(CallFailed) as caught:
        connect(server.url, retries=NO_RETRIES).describe_regions()
    text = str(caught.value)
    assert "someone" not in text and text.isprintable()
    return caught.value


def test_error_has_code_message_status_and_request_id(connect: Connect) -> None:
    with faulty(error(404, "ErrorClusterNotFound")) as server, pytest.raises(ApiError) as caught:
        connect(server.url).describe_cluster_detail("c1")
    told = caught.value
    assert (told.code, told.message, told.status, told.request_id) == ("ErrorClusterNotFound", "It is so.", 404, "R")
    assert str(told) == "ErrorClusterNotFound (404): It is so. Request id: R"
    assert told.body["RequestId"] == "R" and told.retry_after_ms is None


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"1", b'{"Code": {"a": 1}}', b"{}"])
def test_error_of_another_shape_is_still_an_error(connect: Connect, body: bytes) -> None:
    with faulty(answer(400, body)) as server, pytest.raises(ApiError) as caught:
        connect(server.url).describe_regions()
    assert caught.value.status == 400


@pytest.mark.parametrize("status", [400, 403, 502])
def test_error_that_is_not_json_is_told_with_its_status(connect: Connect, status: int) -> None:
    text = str(call_of(connect, answer(status, FOREIGN)))
    assert text == f"The endpoint answers something that is not JSON; is it this API? (Status {status}.)"


@pytest.mark.parametrize(
    "body", [FOREIGN, b"[]", b'{"regions": 1}', b"", b"\xff\xfe", b'{"regions": [' + b"[" * 200_000, b'{"regions": []']
)
def test_answer_that_is_none_of_the_operation_is_told(connect: Connect, body: bytes) -> None:
    assert "The answer is none of DescribeRegions" in str(call_of(connect, answer(200, body)))


@pytest.mark.parametrize("body", [FOREIGN, b"[" * 200_000])
def test_page_of_somebody_else_is_no_success_where_nothing_is_answered(connect: Connect, body: bytes) -> None:
    with faulty(answer(200, body)) as server, pytest.raises(CallFailed, match="not JSON; is it this API"):
        connect(server.url).update_k8s_cluster_user_config_expire("c1", 1, "2")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
def test_redirect_is_not_followed_and_is_no_success(connect: Connect, status: int) -> None:
    with faulty(answer(body={"regions": []})) as other, faulty(answer(status, b"", location=other.url)) as server:
        client = connect(server.url)
        for call in (client.describe_regions, lambda: client.revoke_k8s_cluster_kube_config("c1")):
            with pytest.raises(CallFailed, match=rf"sends elsewhere \(status {status}\), which is not followed"):
                call()
        assert len(server.asked) == 2 and other.asked == []


CUT = {
    "promised more": raw(format_answer(200, b'{"regions": []}      ')[:-3]),
    "in the head": raw(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "in a chunk": raw(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{"regions": []}'),
    "before the last chunk": raw(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nf\r\n{"regions": []}\r\n'),
}


@pytest.mark.parametrize("act", CUT.values(), ids=CUT.keys())
def test_cut_answer_is_never_taken_for_a_whole_one(connect: Connect, act: Act) -> None:
    assert "does not answer" in str(call_of(connect, act))
    with faulty(act) as server, pytest.raises(CallFailed, match="does not answer"):
        connect(server.url).revoke_k8s_cluster_kube_config("c1")


NO_HTTP = {
    "no status line": raw(b"someone else's greeting\r\n\r\n"),
    "no number": raw(b"HTTP/1.1 someone else\r\n\r\n"),
    "endless line": raw(b"HTTP/1.1 200 OK\r\na: " + b"someone" * 20_000 + b"\r\n\r\n"),
    "endless head": raw(b"HTTP/1.1 200 OK\r\n" + b"someone: else\r\n" * 200_000 + b"\r\n"),
    "no length": raw(b"HTTP/1.1 200 OK\r\ncontent-length: someone\r\n\r\n{}"),
    "no chunks": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsomeone\r\n"),
}


@pytest.mark.parametrize("act", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_no_http_is_told_without_repeating_it(connect: Connect, act: Act) -> None:
    text = str(call_of(connect, act))
    assert "does not answer" in text or "none of DescribeRegions" in text


CHUNK = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
HUGE = {
    "said": raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99000000000\r\n\r\n" + b" " * (LARGEST_ANSWER_BYTES + 1)),
    "in chunks": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNK * 65),
    "without a length": raw(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (LARGEST_ANSWER_BYTES + 1)),
}


@pytest.mark.parametrize("act", HUGE.values(), ids=HUGE.keys())
def test_answer_without_end_is_read_up_to_a_bound(connect: Connect, act: Act) -> None:
    assert "answers with more than 64 MiB" in str(call_of(connect, act))


def test_largest_answer_is_read(connect: Connect) -> None:
    body = b'{"regions": []}'
    with faulty(answer(200, body + b" " * (LARGEST_ANSWER_BYTES - len(body)))) as server:
        assert connect(server.url).describe_regions().regions == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("localhost:8443", "is no endpoint; it must be https://HOST[:PORT], without a path"),
        ("ftp://a.example", "is no endpoint"),
        ("https://", "is no endpoint"),
        ("https://a.example/api", "without a path"),
        ("https://a.example?x=1", "is no endpoint"),
        ("https://a.example#x", "is no endpoint"),
        ("https://a.example:0", "is no endpoint"),
        ("https://a.example:65536", "is no endpoint"),
        ("https://[::1", "is no endpoint"),
        ("https://[::1]beside", "is no endpoint"),
        ("https://a..example", "its host cannot be a host's name"),
        (f"https://{'a' * 64}.example", "its host cannot be a host's name"),
        ("https://me:wholly-secret@a.example", "has no user and no password in it"),
        ("http://生产.example", "must be ASCII"),
        ("http://a b.example", "must be ASCII"),
    ],
)
def test_endpoint_that_is_none_is_told(connect: Connect, url: str, told: str) -> None:
    with pytest.raises(CallFailed, match=re.escape(told)) as caught:
        connect(url)
    assert "wholly-secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["schlüssel", "a\nb", "a\r\nx-acs-action: b", "\udcff"])
@pytest.mark.parametrize("member", ["access_key_id", "access_key_secret", "security_token"])
def test_key_that_cannot_be_one_is_told_and_not_shown(connect: Connect, member: str, wrong: str) -> None:
    given: dict[str, Any] = {"url": "http://127.0.0.1:1", "access_key_id": "KEY", "access_key_secret": "s"}
    with pytest.raises(CallFailed, match="must be ASCII") as caught:
        connect(Endpoint(**{**given, member: wrong}))
    assert wrong not in str(caught.value)


def test_request_goes_out_as_it_was_signed_and_with_nothing_of_a_library(connect: Connect) -> None:
    with faulty(error(400, "InvalidParameter")) as server:
        client = connect(server.url)
        for call in (
            lambda: client.list_user_kube_config_states(detail=True),
            lambda: client.clean_user_permissions("2", cluster_ids=["c1", "c 2/ä&"]),
            lambda: client.update_k8s_cluster_user_config_expire("../c%2f", 1, "生"),
        ):
            with pytest.raises(ApiError):
                call()
    states, clean, expire = server.asked
    assert states.target == "/users//kubeconfig/states?detail=true"
    assert (clean.method, clean.target) == ("DELETE", "/users/2/permissions?ClusterIds=c1%2Cc%202%2F%C3%A4%26")
    assert expire.target == "/k8s/..%2Fc%252f/user_config/expire"
    assert expire.body == '{"expire_hour":1,"user":"生"}'.encode()
    signed = {"authorization", "host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"}
    signed |= {"x-acs-version"}
    for asked in server.asked:
        assert set(asked.headers) - signed <= {"content-type", "content-length", "connection"}
        assert asked.headers["host"] == server.url.partition("://")[2]
        assert "wholly-secret" not in str(asked)


def test_unfinished_answer_leaves_no_connection_to_be_used_again(connect: Connect) -> None:
    """What stood behind an answer that was given up must not be read as the next one's."""
    with faulty(HUGE["in chunks"], answer(body={"regions": []})) as server:
        client = connect(server.url, retries=NO_RETRIES)
        with pytest.raises(CallFailed, match="64 MiB"):
            client.describe_regions()
        assert client.describe_regions().regions == []
        assert [asked.connection for asked in server.asked] == [1, 2]


def test_cookies_of_a_server_are_not_kept(connect: Connect) -> None:
    with faulty(answer(body={"regions": []}, set_cookie="a=b")) as server:
        client = connect(server.url)
        client.describe_regions()
        client.describe_regions()
        assert all("cookie" not in asked.headers for asked in server.asked)


def test_silent_server_is_given_up(connect: Connect) -> None:
    with faulty(lambda connection: bool(connection.recv(1))) as server:
        client = connect(server.url, retries=NO_RETRIES, timeout_seconds=0.2)
        with pytest.raises(CallFailed, match=r"does not answer \((timed out|TimeoutError)\)"):
            client.describe_regions()


def test_call_answers_what_came_errors_too(connect: Connect) -> None:
    with faulty(error(403, "StatusForbidden")) as server:
        came = connect(server.url).call(get_operation("DescribeRegions"), {})
    assert (came.status, came.request_id, came.read_json()["Code"]) == (403, "R", "StatusForbidden")
