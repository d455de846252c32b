"""What is sent again, and what never: against a server that fails as its script says, and as pure steps."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from callers import QUICK, Connect, rest
from faulty import HANG_UP, Act, Faulty, answer, close_after, cut_in_the_midst, error, faulty, raw

from installations import free_port
from kubecustody.catalogue.model import Effect
from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.client import NO_RETRIES, ApiError, CallFailed, Endpoint, Retries
from kubecustody.client.flow import Broken, Send, Wait, call_flow
from kubecustody.client.wire import Incoming

CONFIG = {"config": "apiVersion: v1", "expiration": "2027-03-10T09:56:17Z"}
BROKEN: dict[str, Act] = {
    "hung up": HANG_UP,
    "cut in the midst": cut_in_the_midst({"config": "text"}),
    "cut in its head": raw(b"HTTP/1.1 200 OK\r\ncontent-le"),
    "cut in a chunk": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\n{"),
    "no HTTP": raw(b"220 mail.example ESMTP\r\n"),
}
FAILED: dict[str, Act] = {
    "500": error(500, "InternalError"),
    "500 that says when to come back": error(500, "InternalError", x_acs_retry_after="1"),
    "502 of a proxy": answer(502, b"<html>"),
}
NOT_DONE: dict[str, Act] = {
    "throttled": error(400, "Throttling.User", x_acs_retry_after="1"),
    "throttled, not said for how long": error(400, "Throttling.User"),
    "429 of a proxy": answer(429, b"<html>"),
    "unavailable": error(503, "ServiceUnavailable", x_acs_retry_after="1"),
    "503 of a proxy": answer(503, b"<html>"),
}


def read(client: Any) -> Any:
    return client.describe_regions()


def read_by_post(client: Any) -> Any:
    return client.check_service_role()


def issue(client: Any) -> Any:
    return client.describe_cluster_user_kubeconfig("c1")


WRITES: dict[str, Callable[[Any], Any]] = {
    "issues, by GET": issue,
    "issues, by POST": lambda client: client.issue_credential("c1", "csr"),
    "removes, by DELETE": lambda client: client.clean_user_permissions("2", cluster_ids=["c1"], force=True),
    "removes and issues": lambda client: client.revoke_k8s_cluster_kube_config("c1"),
    "changes": lambda client: client.update_k8s_cluster_user_config_expire("c1", 720, "2"),
}
each_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())


def each(acts: dict[str, Act]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("act", acts.values(), ids=acts.keys())


@each(BROKEN | FAILED | NOT_DONE)
def test_read_is_sent_again_until_it_is_answered(connect: Connect, act: Act) -> None:
    with faulty(act, act, act, answer(body={"regions": []})) as server:
        assert read(connect(server.url)).regions == []
        assert len(server.asked) == len(server.nonces) == 4


def test_read_by_post_is_sent_again_too(connect: Connect) -> None:
    with faulty(HANG_UP, answer(body={"roles": []})) as server:
        assert read_by_post(connect(server.url)).roles == []
        assert [asked.method for asked in server.asked] == ["POST", "POST"]


@each_write
@each(BROKEN | FAILED)
def test_what_may_have_been_done_is_not_sent_again(connect: Connect, act: Act, write: Callable[[Any], Any]) -> None:
    with faulty(act) as server:
        with pytest.raises((ApiError, CallFailed)):
            write(connect(server.url))
        assert len(server.asked) == 1


@each_write
@each(NOT_DONE)
def test_what_was_not_done_is_sent_again(connect: Connect, act: Act, write: Callable[[Any], Any]) -> None:
    with faulty(act, act, error(400, "InvalidParameter")) as server:
        with pytest.raises(ApiError) as caught:
            write(connect(server.url))
        assert caught.value.code == "InvalidParameter"
        assert len(server.asked) == len(server.nonces) == 3


@pytest.mark.parametrize("call", [read, issue])
def test_what_found_no_connection_is_sent_again(connect: Connect, call: Callable[[Any], Any]) -> None:
    with contextlib.ExitStack() as stack:
        bound = stack.enter_context(socket.socket())
        bound.bind(("127.0.0.1", 0))  # refuses until it listens
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        servers: list[Faulty] = []

        def listen() -> None:
            bound.listen()
            servers.append(stack.enter_context(faulty(answer(body=CONFIG | {"regions": []}), listener=bound)))

        later = threading.Timer(0.1, listen)
        later.start()
        stack.callback(later.join)
        assert call(connect(url, retries=Retries(attempts=400, longest_wait_seconds=0.02))) is not None
        later.join()
        assert len(servers[0].asked) == 1


@pytest.mark.parametrize("call", [read, issue])
def test_refused_connection_is_told_once_the_attempts_are_over(connect: Connect, call: Callable[[Any], Any]) -> None:
    with pytest.raises(CallFailed, match=r"http://127\.0\.0\.1:[0-9]+ does not answer \(\[Errno 111\] .*127|refused"):
        call(connect(f"http://127.0.0.1:{free_port()}"))


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_no_more_attempts_are_made_than_allowed(connect: Connect, attempts: int) -> None:
    with faulty(error(500, "InternalError")) as server:
        with pytest.raises(ApiError):
            read(connect(server.url, retries=Retries(attempts=attempts, longest_wait_seconds=0.01)))
        assert len(server.asked) == attempts


@pytest.mark.parametrize("call", [read, issue])
def test_throttled_call_waits_as_long_as_told(connect: Connect, call: Callable[[Any], Any]) -> None:
    throttled = error(400, "Throttling.User", x_acs_retry_after="400")
    with faulty(throttled, answer(body=CONFIG | {"regions": []})) as server:
        call(connect(server.url, retries=Retries()))
        first, second = server.asked
        assert 0.4 <= second.at - first.at < 1.5


@pytest.mark.parametrize("told", ["60000", "9" * 5000, "1" * 12])
def test_wait_that_is_too_long_ends_the_call_at_once(connect: Connect, told: str) -> None:
    with faulty(error(400, "Throttling.User", x_acs_retry_after=told)) as server:
        begun = time.monotonic()
        with pytest.raises(ApiError) as caught:
            read(connect(server.url, retries=Retries(attempts=2, longest_wait_seconds=5)))
        assert time.monotonic() - begun < 2
        assert caught.value.code == "Throttling.User"
        # A number that can be none is passed over: then it is as if none had been told.
        readable = len(told) <= 12
        assert caught.value.retry_after_ms == (int(told) if readable else None)
        assert len(server.asked) == (1 if readable else 2)


def test_answer_that_succeeds_is_never_asked_for_again(connect: Connect) -> None:
    with faulty(answer(body=CONFIG, x_acs_retry_after="1")) as server:
        assert issue(connect(server.url)).config == CONFIG["config"]
        assert len(server.asked) == 1


@pytest.mark.parametrize("code", ["StatusForbidden", "SignatureNonceUsed", "ErrorClusterNotFound", ""])
def test_refusal_is_not_asked_for_again(connect: Connect, code: str) -> None:
    with faulty(error(400, code)) as server:
        with pytest.raises(ApiError):
            read(connect(server.url))
        assert len(server.asked) == 1


# --- connections that are kept


def test_reads_share_one_connection(connect: Connect) -> None:
    with faulty(answer(body={"regions": []})) as server:
        client = connect(server.url)
        for _ in range(3):
            read(client)
        assert [asked.connection for asked in server.asked] == [1, 1, 1]


@pytest.mark.parametrize("pause", [0.3, 0.0], ids=["noticed", "in the midst of it"])
def test_connection_that_the_server_closed_meanwhile_does_not_fail_a_read(connect: Connect, pause: float) -> None:
    with faulty(close_after(pause / 3, answer(body={"regions": []})), answer(body={"regions": []})) as server:
        client = connect(server.url, retries=NO_RETRIES if pause else QUICK)
        read(client)
        rest(client, pause)
        assert read(client).regions == []
        assert [asked.connection for asked in server.asked] == [1, 2]


@each_write
def test_write_never_goes_by_a_connection_that_was_kept(connect: Connect, write: Callable[[Any], Any]) -> None:
    ok = answer(body={"regions": []})
    with faulty(ok, *[error(403, "StatusForbidden")] * 2, ok) as server:
        client = connect(server.url)
        read(client)
        for _ in range(2):
            with pytest.raises(ApiError):
                write(client)
        read(client)
        assert [asked.connection for asked in server.asked][:3] == [1, 2, 3]


def test_write_after_the_server_closed_the_kept_connection_is_sent_once_and_done(connect: Connect) -> None:
    with faulty(close_after(0, answer(body={"regions": []})), answer(body=CONFIG)) as server:
        client = connect(server.url, retries=NO_RETRIES)
        read(client)
        assert issue(client).config == CONFIG["config"]
        assert len(server.asked) == 2


def test_connection_after_an_error_in_the_midst_is_a_new_one(connect: Connect) -> None:
    with faulty(cut_in_the_midst({}), answer(body={"regions": []})) as server:
        client = connect(server.url, retries=NO_RETRIES)
        with pytest.raises(CallFailed):
            read(client)
        assert read(client).regions == []


# --- the steps alone


def test_every_attempt_is_signed_anew_with_its_own_time_and_nonce() -> None:
    times, nonces = iter([1_800_000_000.9, 1_800_000_060.0]), iter(["first", "second"])
    flow = call_flow(
        Endpoint("https://a.example", "KEY", "wholly-secret"),
        get_operation("DescribeRegions"),
        {},
        retries=Retries(),
        clock=lambda: next(times),
        new_nonce=lambda: next(nonces),
    )
    sent = [next(flow)]
    assert isinstance(flow.send(Broken(True, "")), Wait)
    sent.append(flow.send(None))
    headers = [dict(step.outgoing.headers) for step in sent if isinstance(step, Send)]
    assert [one["x-acs-signature-nonce"] for one in headers] == ["first", "second"]
    assert [one["x-acs-date"] for one in headers] == ["2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z"]
    assert headers[0]["authorization"] != headers[1]["authorization"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_effects_of_the_catalogue_decide_what_is_sent_again(operation: Any) -> None:
    """Only what has the one effect `reads`, whatever its method."""
    values = {"ClusterId": "c1", "Uid": "2", "uid": "2", "cluster_id": "c1", "task_id": "t", "region_id": "r"}
    endpoint = Endpoint("https://a.example", "KEY", "wholly-secret")
    flow = call_flow(endpoint, operation, values, retries=Retries(), clock=time.time, new_nonce=lambda: "n")
    first = next(flow)
    assert isinstance(first, Send)
    only_reads = set(operation.effects) == {Effect.READS}
    assert first.fresh is not only_reads
    if only_reads:
        assert isinstance(flow.send(Incoming(500, {}, b"{}")), Wait)
    else:
        with pytest.raises(StopIteration):
            flow.send(Incoming(500, {}, b"{}"))


def test_waits_grow_up_to_the_longest_and_however_many_they_are() -> None:
    flow = call_flow(
        Endpoint("https://a.example", "KEY", "wholly-secret"),
        get_operation("DescribeRegions"),
        {},
        retries=Retries(attempts=2000, longest_wait_seconds=3),
        clock=time.time,
        new_nonce=lambda: "n",
    )
    waits = []
    step = next(flow)
    with pytest.raises(CallFailed, match="gone"):
        while True:
            step = flow.send(Broken(False, "gone") if isinstance(step, Send) else None)
            waits += [step.seconds] if isinstance(step, Wait) else []
    assert len(waits) == 1999
    assert 0.1 <= waits[0] <= 0.3 and waits[0] < waits[3] and max(waits) == waits[-1] == 3
