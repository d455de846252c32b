"""When something breaks under the server: it answers, tells no more than it should, and goes on."""

import asyncio
import io
import json
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from wire import Place, call, check_error, connect, get_plain, read_answer, sign, write_request

from installations import Installation, serving
from kubecustody.custody import handlers
from kubecustody.custody.installation import open_custody
from kubecustody.server.access_log import AccessLog
from kubecustody.server.application import Application
from kubecustody.server.metrics import Metrics
from kubecustody.signing.acs3 import sign_request
from kubecustody.store.nonces import NonceTable

SECRET_OF_THE_FAULT = "password-in-the-exception"


def test_unforeseen_fault_tells_a_request_id_and_nothing_else(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(*_: object) -> None:
        raise RuntimeError(SECRET_OF_THE_FAULT)

    monkeypatch.setitem(handlers._readers, "ListUserKubeConfigStates", break_down)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        status, headers, body = asyncio.run(ask_in_process(installation))
    told = json.loads(body)
    assert (status, told["Code"], told["code"]) == (500, "InternalError", "InternalError")
    assert set(told) == {
        *("RequestId", "HostId", "Code", "Message", "Recommend"),
        *("requestId", "code", "message", "status"),
    }
    assert dict(headers)[b"x-acs-request-id"].decode() == told["RequestId"]
    assert SECRET_OF_THE_FAULT not in body.decode()
    assert f"request {told['RequestId']} failed in an unforeseen way" in caplog.text
    assert f"RuntimeError: {SECRET_OF_THE_FAULT}" in caplog.text


async def ask_in_process(installation: Installation) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of one good call to an application of this process."""
    store, custody = await open_custody(installation.settings)
    nonces = NonceTable.open(installation.settings.nonces_file, now=time.time())
    log = AccessLog(io.BytesIO())
    application = Application(
        installation.settings, custody, nonces, metrics=Metrics(CollectorRegistry()), access_log=log
    )
    signed = sign_request(
        method="GET",
        path="/users//kubeconfig/states",
        query=[],
        host="in.process",
        action="ListUserKubeConfigStates",
        version="2015-12-15",
        access_key_id=installation.key.access_key_id,
        secret=installation.key.secret.encode(),
        signed_at=int(time.time()),
        nonce="once",
    )
    scope = {
        "type": "http",
        "method": "GET",
        "path": signed.target,
        "raw_path": signed.target.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in signed.headers],
        "client": ("192.0.2.1", 5),
    }
    try:
        return await _answer(application, scope)
    finally:
        log.flush()
        nonces.close()
        store.close()


async def _answer(
    application: Callable[..., Awaitable[None]], scope: MutableMapping[str, Any]
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    await application(scope, receive, send)
    return sent[0]["status"], sent[0]["headers"], sent[1]["body"]


def test_reads_go_on_while_another_writer_holds_the_store(place: Place) -> None:
    writer = sqlite3.connect(place.installation.settings.store_file, isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE accounts SET name = 'held'")
        started = time.monotonic()
        assert {call(place.server, place.installation.key).status for _ in range(10)} == {200}
        assert get_plain(place.server, "/readyz").status == 200
        assert time.monotonic() - started < 5
        writer.execute("ROLLBACK")
    finally:
        writer.close()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "emptied"])
def test_store_damaged_while_serving_is_an_answer_and_no_crash(installation: Installation, damage: str) -> None:
    file = installation.settings.store_file
    with serving(installation) as server:
        assert call(server, installation.key).status == 200
        size = file.stat().st_size
        with file.open("r+b") as stream:
            if damage == "garbage":
                stream.write(b"\xa5" * size)
            else:
                stream.truncate(0 if damage == "emptied" else size // 2)
        # Another program's change makes the server read the file again.
        file.with_name(file.name + "-wal").unlink(missing_ok=True)
        answers = [call(server, installation.key) for _ in range(5)]
        assert {answer.status for answer in answers} <= {200, 500, 503}
        for answer in answers:
            if answer.status >= 500:
                check_error(answer, answer.json["Code"], server.url)
                assert str(file) not in answer.body.decode()
        assert get_plain(server, "/healthz").status == 200
        assert get_plain(server, "/readyz").status in (200, 503)
        assert server.process.poll() is None


def test_damaged_store_is_told_by_the_server_that_has_to_read_it(installation: Installation) -> None:
    """A server whose connections never saw the good pages."""
    file = installation.settings.store_file
    with serving(installation) as server:
        assert get_plain(server, "/healthz").status == 200
        with file.open("r+b") as stream:
            stream.seek(100)
            stream.write(b"\xa5" * (file.stat().st_size - 100))
        answer = call(server, installation.key)
        message = check_error(answer, "ServiceUnavailable", server.url)
        assert "the store is damaged" in message and str(file) not in message
        assert answer.header("x-acs-retry-after") == "60000"
        ready = get_plain(server, "/readyz")
        assert (ready.status, ready.body) == (503, b"the store does not answer\n")


def test_slow_and_half_open_connections_hold_nobody_up(place: Place) -> None:
    data = write_request(sign(place.server, place.installation.key, body=b"slow"), added=[("content-length", "4")])
    idle = [connect(place.server) for _ in range(100)]
    halves = [connect(place.server) for _ in range(100)]
    for number, connection in enumerate(halves):
        connection.sendall(data[: 40 + number] if number % 2 else data)
    started = time.monotonic()
    assert {call(place.server, place.installation.key).status for _ in range(20)} == {200}
    assert time.monotonic() - started < 5
    for connection in [*idle, *halves]:
        connection.close()
    assert call(place.server, place.installation.key).status == 200


def test_client_that_leaves_in_the_middle_of_its_body_is_forgotten(place: Place) -> None:
    data = write_request(sign(place.server, place.installation.key, body=b"slow"), added=[("content-length", "4")])
    for _ in range(20):
        with connect(place.server) as connection:
            connection.sendall(data + b"s")
    assert call(place.server, place.installation.key).status == 200
    assert "Traceback" not in place.server.log.read_text()


def test_one_connection_carries_many_requests_one_after_the_other(place: Place) -> None:
    with connect(place.server) as connection:
        for _ in range(5):
            connection.sendall(write_request(sign(place.server, place.installation.key)))
            assert read_answer(connection).status == 200


def test_two_hundred_callers_at_once_are_all_answered(place: Place) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: call(place.server, place.installation.key).status, range(200)))
    assert answers == [200] * 200
