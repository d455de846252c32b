"""Whatever answers in a cluster's place: it gets nothing out of this server, and its words go nowhere."""

import asyncio
import gzip
import json
import logging
import tempfile
import time
import traceback
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop

from cluster.scripted_server import CA, NOW, Script, ScriptedServer, answer, answering, repeating
from kubecustody.cluster.access import Access
from kubecustody.cluster.client import AnswerKind, Cluster, Connections
from kubecustody.cluster.errors import (
    AddressRefused,
    AlreadyThere,
    ClusterError,
    Conflict,
    Forbidden,
    NotFound,
    NotKubernetes,
    RequestRejected,
    ServerFailed,
    ServerNotTrusted,
    StatusError,
    TooBig,
    TooManyRequests,
    Unauthorized,
    Unreachable,
)
from kubecustody.pki.issuing import make_ca, make_client_certificate
from kubecustody.pki.tls import make_server_certificate

T = TypeVar("T")
CANARY = "canary-7d1f"
TOKEN = "token-of-the-test"
MIB = 1024 * 1024
VERSION = json.dumps({"gitVersion": "v1.37.2"}).encode()
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCK = b"10000\r\n" + b" " * 0x10000 + b"\r\n"


def status(code: int, reason: str, *headers: str) -> bytes:
    document = {"kind": "Status", "status": "Failure", "reason": reason, "message": CANARY, "code": code}
    return answer(json.dumps(document).encode(), *headers, status=f"{code} {CANARY}")


def page(code: int) -> bytes:
    return answer(f"<html>{CANARY}</html>".encode(), status=f"{code} Portal", content_type="text/html")


# The server runs on uvloop, commands on asyncio's own loop.
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True, params=LOOPS)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOOPS, "this", LOOPS[request.param])


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(20):
            return await work()

    with asyncio.Runner(loop_factory=LOOPS["this"]) as runner:
        return runner.run(limited())


def ask(script: Script, *, seconds: float = 15, **server: Any) -> str:
    """The version that a server of this script tells."""

    async def whole() -> str:
        limits = Connections(allow_loopback=True, timeout_seconds=seconds, connect_seconds=min(seconds, 5))
        async with ScriptedServer(script, **server) as there, limits as connections:
            access = Access(there.access.endpoint, CA.certificate, token=TOKEN)
            return await Cluster(connections, access).get_version()

    return run(whole)


def test_a_plain_answer_is_taken() -> None:
    assert ask(answering(answer(VERSION))) == "1.37.2"


ANSWERS: dict[str, tuple[bytes, type[ClusterError]]] = {
    "401": (status(401, "Unauthorized"), Unauthorized),
    "403": (status(403, "Forbidden"), Forbidden),
    "404": (status(404, "NotFound"), NotFound),
    "404 of a path": (answer(b"404 page not found\n", status="404 X", content_type="text/plain"), NotFound),
    "409": (status(409, "Conflict"), Conflict),
    "409 there": (status(409, "AlreadyExists"), AlreadyThere),
    "410": (status(410, "Expired"), Conflict),
    "422": (status(422, "Invalid"), RequestRejected),
    "429": (status(429, "TooManyRequests", "Retry-After: 3"), TooManyRequests),
    "429 as text": (answer(b"Too many requests", status="429 X", content_type="text/plain"), TooManyRequests),
    "500": (status(500, "InternalError"), ServerFailed),
    "502 of a load balancer": (page(502), ServerFailed),
    "a page": (page(200), NotKubernetes),
    "a portal's 401": (page(401), NotKubernetes),
    "a portal's 403": (page(403), NotKubernetes),
    "a portal's 404": (page(404), NotKubernetes),
    "a redirect": (answer(b"", f"Location: https://{CANARY}.example/", status="302 Found"), NotKubernetes),
    "no JSON": (answer(f"{{{CANARY}".encode()), NotKubernetes),
    "JSON of something else": (answer(json.dumps({CANARY: [1]}).encode()), NotKubernetes),
    "JSON of another shape": (answer(json.dumps({"gitVersion": [CANARY]}).encode()), NotKubernetes),
    "JSON that is not UTF-8": (answer(b'{"gitVersion": "\xff"}'), NotKubernetes),
    "JSON without a bottom": (answer(b'{"gitVersion": "v1", "x": ' + b"[" * 2 * MIB), NotKubernetes),
    "a reason of its own": (status(403, CANARY), Forbidden),
    "no HTTP": (f"SSH-2.0-{CANARY}\r\n\r\n".encode(), NotKubernetes),
    "a header without end": (b"HTTP/1.1 200 OK\r\nX-A: " + CANARY.encode() * 20_000, NotKubernetes),
    "a length that is none": (answer(VERSION).replace(b"Content-Length: ", b"Content-Length: x"), NotKubernetes),
    "an early end": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{",
        Unreachable,
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_each_answer_is_an_error_of_its_kind_and_none_of_its_words(name: str, caplog: pytest.LogCaptureFixture) -> None:
    sent, kind = ANSWERS[name]

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        if name == "an early end":
            writer.close()

    with caplog.at_level(logging.DEBUG), pytest.raises(ClusterError) as failed:
        ask(script)
    assert type(failed.value) is kind
    told = "".join(traceback.format_exception(failed.value)) + repr(failed.value) + caplog.text
    assert CANARY not in told
    assert TOKEN not in told
    if isinstance(failed.value, StatusError):
        assert str(failed.value.status) in str(failed.value)


def test_cookies_are_neither_kept_nor_told(caplog: pytest.LogCaptureFixture) -> None:
    sent = answer(VERSION, f"Set-Cookie: session={CANARY}; Path=/", f"Set-Cookie: {CANARY}()<>@=1;;;")

    async def whole() -> list[bytes]:
        async with ScriptedServer(answering(sent)) as server, Connections(allow_loopback=True) as connections:
            cluster = Cluster(connections, server.access)
            for _ in range(2):
                await cluster.get_version()
            return server.heads

    with caplog.at_level(logging.DEBUG):
        heads = run(whole)
    assert [b"ookie" in head for head in heads] == [False, False]
    assert CANARY not in caplog.text


def test_a_request_says_no_more_than_it_must() -> None:
    async def whole() -> list[bytes]:
        async with ScriptedServer(answering(answer(VERSION))) as server, Connections(allow_loopback=True) as it:
            await Cluster(it, server.access).get_version()
            return server.heads

    (head,) = run(whole)
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "get /version http/1.1"
    assert {line.partition(":")[0] for line in lines[1:] if line} == {"host", "accept", "user-agent"}


def test_a_redirect_is_not_followed() -> None:
    async def whole() -> None:
        async with ScriptedServer(answering(answer(VERSION))) as other:
            there = answer(b"", f"Location: {other.access.endpoint}/version", status="307 Temporary Redirect")
            async with ScriptedServer(answering(there)) as server, Connections(allow_loopback=True) as connections:
                with pytest.raises(NotKubernetes):
                    await Cluster(connections, server.access).get_version()
            assert other.heads == []

    run(whole)


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask(answering(answer(VERSION))) == "1.37.2"


# --- size and time ------------------------------------------------------------------------------------------

BOMB = gzip.compress(b" " * 64 * MIB)
HUGE: dict[str, tuple[Script, type[ClusterError]]] = {
    "endless": (repeating(CHUNKED, BLOCK), TooBig),
    "endless without chunks": (repeating(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", BLOCK), TooBig),
    "100 MB": (repeating(CHUNKED, BLOCK, 1526), TooBig),
    "100 MB, said before": (
        repeating(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", b" " * 0x10000, 1600),
        TooBig,
    ),
    "100 MB of an error": (repeating(CHUNKED.replace(b"200 OK", b"403 Forbidden"), BLOCK, 1526), TooBig),
    "headers without end": (repeating(b"HTTP/1.1 200 OK\r\n", b"X-A: 1234567890\r\n" * 100), NotKubernetes),
    "a bomb": (answering(answer(BOMB, "Content-Encoding: gzip")), NotKubernetes),
    "a bomb in chunks": (repeating(CHUNKED[:-2] + b"Content-Encoding: br\r\n\r\n", BLOCK), NotKubernetes),
}


@pytest.mark.parametrize("name", HUGE)
def test_what_is_huge_is_not_read(name: str) -> None:
    script, kind = HUGE[name]
    tracemalloc.start()
    try:
        begun = time.monotonic()
        with pytest.raises(ClusterError) as failed:
            ask(script)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert type(failed.value) is kind
    assert time.monotonic() - begun < 10
    # What was read so far, and the buffers of both ends of the connection.
    assert peak < 16 * MIB + 8 * MIB
    if kind is NotKubernetes:
        assert peak < 8 * MIB


def test_a_list_that_always_has_one_more_page_is_not_read_for_ever() -> None:
    page = answer(json.dumps({"items": [], "metadata": {"continue": "more"}}).encode())

    async def whole() -> int:
        async with ScriptedServer(answering(page)) as server, Connections(allow_loopback=True) as connections:
            with pytest.raises(TooBig):
                await Cluster(connections, server.access).list_bindings()
            return len(server.heads)

    assert run(whole) == 200


def test_what_is_just_not_huge_is_read() -> None:
    filler = b" " * (16 * MIB - len(VERSION))
    assert ask(answering(answer(VERSION + filler))) == "1.37.2"
    with pytest.raises(TooBig):
        ask(answering(answer(VERSION + filler + b" ")))


SLOW: dict[str, Script] = {
    "silence": answering(b"", pause_seconds=60),
    "drop by drop": answering(*(bytes([one]) for one in answer(VERSION)), pause_seconds=0.1),
    "a body that does not end": answering(answer(VERSION)[:-1], b"}", pause_seconds=0.6),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_is_slow_is_waited_for_as_long_as_said(name: str) -> None:
    begun = time.monotonic()
    with pytest.raises(Unreachable):
        ask(SLOW[name], seconds=0.7)
    assert 0.6 < time.monotonic() - begun < 1.7


def test_a_server_that_never_begins_tls_is_waited_for_as_long_as_said() -> None:
    async def whole() -> float:
        script = answering(b"")
        limits = Connections(allow_loopback=True, connect_seconds=0.5)
        async with ScriptedServer(script, tls=False) as silent, limits as connections:
            begun = time.monotonic()
            with pytest.raises(Unreachable):
                await Cluster(connections, silent.access).get_version()
            return time.monotonic() - begun

    assert run(whole) < 1.5


def test_whoever_waits_for_a_turn_loses_no_time_by_it() -> None:
    async def whole() -> list[str]:
        script = answering(answer(VERSION), pause_seconds=0.3)
        limits = Connections(allow_loopback=True, concurrency=1, timeout_seconds=0.8)
        async with ScriptedServer(script) as server, limits as connections:
            cluster = Cluster(connections, server.access)
            return await asyncio.gather(*(cluster.get_version() for _ in range(4)))

    assert run(whole) == ["1.37.2"] * 4


def test_no_more_connections_are_open_than_said() -> None:
    open_now, most = 0, 0

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.05)
        open_now -= 1
        writer.write(answer(VERSION))

    async def whole() -> None:
        async with ScriptedServer(script) as server, Connections(allow_loopback=True, concurrency=3) as connections:
            cluster = Cluster(connections, server.access)
            await asyncio.gather(*(cluster.get_version() for _ in range(12)))

    run(whole)
    assert most == 3


def test_a_connection_is_kept_for_a_moment_and_then_closed() -> None:
    async def whole() -> None:
        limits = Connections(allow_loopback=True, idle_seconds=0.3)
        async with ScriptedServer(answering(answer(VERSION))) as server, limits as connections:
            cluster = Cluster(connections, server.access)
            for _ in range(3):
                await cluster.get_version()
            assert not server.ended.is_set()
            await asyncio.wait_for(server.ended.wait(), 3)

    run(whole)


# --- trust --------------------------------------------------------------------------------------------------


def test_another_ca_another_name_or_a_certificate_that_is_over_is_not_trusted() -> None:
    stranger = make_server_certificate(make_ca("server CA", NOW, 1), ["127.0.0.1"], NOW)
    elsewhere = make_server_certificate(CA, ["elsewhere.example"], NOW)
    old = make_server_certificate(CA, ["127.0.0.1"], NOW - 400 * 86_400)
    for pair in (stranger, elsewhere, old):
        with pytest.raises(ServerNotTrusted):
            ask(answering(answer(VERSION)), pair=pair)


def test_a_server_may_be_known_by_another_name() -> None:
    elsewhere = make_server_certificate(CA, ["elsewhere.example"], NOW)

    async def whole(name: str) -> str:
        script = answering(answer(VERSION))
        async with ScriptedServer(script, pair=elsewhere) as server, Connections(allow_loopback=True) as connections:
            access = Access(server.access.endpoint, CA.certificate, tls_server_name=name)
            cluster = Cluster(connections, access)
            assert await cluster.at(f"127.0.0.1:{server.port}").get_version() == "1.37.2"
            # Through a connection that another name vouched for, nobody else comes.
            with pytest.raises(ServerNotTrusted):
                await Cluster(connections, server.access).get_version()
            return await cluster.get_version()

    assert run(lambda: whole("elsewhere.example")) == "1.37.2"


@pytest.mark.parametrize("date", ["", "soon", "Wed, 25 Nov 99999999999999999999 07:00:00 GMT"])
def test_a_time_that_is_none_is_not_taken(date: str) -> None:
    async def whole() -> int | None:
        script = answering(answer(VERSION, f"Date: {date}"))
        async with ScriptedServer(script) as server, Connections(allow_loopback=True) as connections:
            return (await Cluster(connections, server.access).get_version_and_time())[1]

    assert run(whole) is None


@pytest.mark.parametrize(
    "address", ["127.0.0.1:6443", "[::1]:6443", "[[::1]:6443", "[10.0.0.1]:6443", "a.example:1", ""]
)
def test_what_is_no_address_to_connect_to_is_foreign(address: str) -> None:
    async def whole() -> bool:
        async with Connections() as connections:
            return Cluster(connections, Access("https://192.0.2.1", CA.certificate)).is_foreign(address)

    assert run(whole)


def test_without_a_ca_the_systems_vouch() -> None:
    async def whole() -> None:
        async with ScriptedServer(answering(answer(VERSION))) as server, Connections(allow_loopback=True) as it:
            with pytest.raises(ServerNotTrusted):
                await Cluster(it, Access(server.access.endpoint)).get_version()
            assert server.heads == []

    run(whole)


# --- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"])
def test_loopback_is_not_connected_to_under_any_name(host: str) -> None:
    async def whole() -> None:
        connected = 0

        def count(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connected
            connected += 1
            writer.close()

        server = await asyncio.start_server(count, "0.0.0.0", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Connections() as connections:
            with pytest.raises(AddressRefused):
                await Cluster(connections, Access(f"https://{host}:{port}", CA.certificate)).get_version()
            await asyncio.sleep(0.05)
        assert connected == 0

    run(whole)


def test_a_host_that_is_not_known_is_not_reached() -> None:
    async def whole() -> None:
        async with Connections() as connections:
            with pytest.raises(Unreachable):
                await Cluster(connections, Access("https://nowhere.invalid")).get_version()

    run(whole)


@pytest.mark.parametrize(
    "text", ["", "localhost:1", "127.0.0.1", "127.0.0.1:x", "a@127.0.0.1:1", "127.0.0.1:1/x", "::1", "[fe80::1%lo]:1"]
)
def test_an_api_server_is_an_address_with_a_port(text: str) -> None:
    cluster = Cluster(Connections(), Access("https://127.0.0.1:1"))
    with pytest.raises(AddressRefused) as refused:
        cluster.at(text)
    assert not text or text not in str(refused.value)


# --- keys ---------------------------------------------------------------------------------------------------


def test_private_keys_are_in_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    pair = make_client_certificate(make_ca("client CA", NOW, 1), "2111-1", (), NOW - 60, NOW + 600)
    before = set(Path(tempfile.gettempdir()).iterdir())
    body = json.dumps({"metadata": {"name": "kube-system", "uid": "1"}}).encode()

    async def whole() -> None:
        async with ScriptedServer(answering(answer(body))) as server, Connections(allow_loopback=True) as connections:
            own = Access(server.access.endpoint, CA.certificate, None, None, pair.certificate, pair.private_key)
            for _ in range(3):
                assert await Cluster(connections, own).get_kube_system_uid() == "1"
                probe = await Cluster(connections, server.access).probe_as(pair.certificate, pair.private_key)
                assert probe.kind is AnswerKind.OBJECT
                own_files = {str(one.resolve()) for one in Path("/proc/self/fd").iterdir()}
                assert not [name for name in own_files if "memfd:kubecustody" in name], "none stays open either"

    run(whole)
    appeared = set(Path(tempfile.gettempdir()).iterdir()) - before
    assert not [one for one in appeared if "kubecustody" in one.name or one.suffix == ".pem"]
    assert list(tmp_path.iterdir()) == []


def test_denials_and_failures_of_a_review_are_told() -> None:
    document = {"status": {"allowed": False, "denied": True, "reason": CANARY}}
    failed = {"status": {"allowed": False, "evaluationError": CANARY}}

    async def review(status: dict[str, Any]) -> tuple[bool, bool, str]:
        sent = answering(answer(json.dumps(status).encode(), status="201 Created"))

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}}")
            await sent(reader, writer)

        async with ScriptedServer(script) as server, Connections(allow_loopback=True) as connections:
            return await Cluster(connections, server.access).review("2111-1", [], {}, "get", "", "pods")

    assert run(lambda: review(document)) == (False, True, "other")
    assert run(lambda: review(failed)) == (False, False, "evaluation_error")
