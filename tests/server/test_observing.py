"""Probes, metrics and the access log: what they tell is true, and no secret is in it."""

import base64
import json
import re
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from wire import NO_ADDRESS_LIMIT, Place, call, exchange, get_plain, replaced, sign, with_headers, write_request

from installations import (
    PROGRAM,
    Installation,
    RunningServer,
    free_port,
    make_installation,
    serving,
    wait_for_port,
)
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.issuing import make_ca, make_client_certificate

CANARY = "CanaryWhichNoLogMayShow0123456789"


# --- probes


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probe_answers_without_a_signature(place: Place, path: str) -> None:
    answer = get_plain(place.server, path)
    assert (answer.status, answer.body, answer.header("content-type")) == (200, b"ok\n", "text/plain; charset=utf-8")


def test_metrics_are_not_told_at_the_address_of_the_api(place: Place) -> None:
    assert get_plain(place.server, "/metrics").status == 404


# --- metrics


def read_metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


def sample(text: str, name: str, **labels: str) -> float:
    """The value of one sample, whatever the order of its labels; 0 where there is none."""
    for found, inner, value in re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE):
        if found == name and dict(re.findall(r'(\w+)="([^"]*)"', inner)) == labels:
            return float(value)
    return 0.0


@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_count_what_happened_whichever_worker_it_happened_in(tmp_path: Path, workers: str) -> None:
    installation, port = make_installation(tmp_path), free_port()
    with serving(installation, **NO_ADDRESS_LIMIT, workers=workers, metrics_listen=f"127.0.0.1:{port}") as server:
        for _ in range(20):
            assert call(server, installation.key).status == 200
        for _ in range(5):
            call(server, installation.key, secret=b"guessed")
        for _ in range(3):
            get_plain(server, "/nowhere")
        text = read_metrics(port)
    operation = "ListUserKubeConfigStates"
    assert sample(text, "kubecustody_requests_total", operation=operation, code="") == 20
    assert sample(text, "kubecustody_requests_total", operation=operation, code="SignatureDoesNotMatch") == 5
    assert sample(text, "kubecustody_requests_total", operation="", code="InvalidApi.NotFound") == 3
    assert sample(text, "kubecustody_signature_failures_total", code="SignatureDoesNotMatch") == 5
    assert sample(text, "kubecustody_request_duration_seconds_count", operation=operation) == 25
    for name in ("requests", "request_duration_seconds", "signature_failures"):
        told = re.search(rf"^# HELP kubecustody_{name}\w* (.+)$", text, re.MULTILINE)
        assert told and len(told[1]) > 30 and told[1] != "Multiprocess metric"


def test_metrics_name_nobody(place_with_log: "Logged") -> None:
    for secret in place_with_log.secrets:
        assert secret not in place_with_log.metrics


# --- the access log


@dataclass
class Logged:
    """What a server wrote of calls whose every part had a secret in it."""

    lines: list[dict[str, Any]]
    request_ids: list[str]
    text: str
    metrics: str
    answers: list[bytes]
    secrets: list[str]


@pytest.fixture(scope="module")
def place_with_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    installation, port = make_installation(tmp_path_factory.mktemp("log")), free_port()
    answers = []
    metrics = ""
    with serving(
        installation, **NO_ADDRESS_LIMIT, workers="2", metrics_listen=f"127.0.0.1:{port}", max_body_bytes="4096"
    ) as server:
        answers = [*planted_calls(server, installation)]
        time.sleep(0.5)  # the log is written five times a second
        metrics = read_metrics(port)
        text = server.log.read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    secrets = [CANARY, CANARY.lower(), installation.key.secret]
    yield Logged(
        lines, [a.header("x-acs-request-id") for a in answers], text, metrics, [a.body for a in answers], secrets
    )


def planted_calls(server: RunningServer, installation: Installation) -> Iterator[Any]:
    """Calls good and bad with the canary in query, header, signature, token and body.

    SignatureDoesNotMatch is left out where the canary is signed: its text is the request's own, for its sender.
    """
    key = installation.key
    yield call(server, key, query=[("unknown", CANARY)])
    yield call(server, key, query=[(CANARY, "1")])
    yield call(server, key, added=[("cookie", CANARY), ("x-forwarded-for", CANARY), ("user-agent", CANARY)])
    yield call(server, key, extra_headers={"x-acs-credentials-provider": CANARY})
    yield call(server, key, extra_headers={"x-acs-credentials-provider": CANARY}, query=[("page_size", "0")])
    yield call(server, key, security_token=CANARY)
    yield call(server, key, security_token=CANARY, secret=b"guessed")
    yield call(server, key, nonce=CANARY)
    yield call(server, key, nonce=CANARY)
    yield call(server, key, body=CANARY.encode())
    yield exchange(server, write_request(sign(server, key), body=CANARY.encode()))
    yield exchange(server, write_request(replaced(sign(server, key), "x-acs-content-sha256", None)))
    signed = with_headers(sign(server, key), lambda name, v: v + CANARY if name == "authorization" else v)
    yield exchange(server, write_request(signed))
    yield exchange(server, write_request(signed, added=[("authorization", CANARY)]))
    yield get_with(server, f"/nowhere?{CANARY}")


def get_with(server: RunningServer, target: str) -> Any:
    return exchange(server, f"GET {target} HTTP/1.1\r\nHost: {CANARY}\r\nAuthorization: {CANARY}\r\n\r\n".encode())


def test_each_request_is_one_line_of_json_with_the_request_id_of_its_answer(place_with_log: Logged) -> None:
    assert sorted(line["request_id"] for line in place_with_log.lines) == sorted(place_with_log.request_ids)
    for line in place_with_log.lines:
        assert set(line) == {
            *("time", "request_id", "address", "method", "path", "operation"),
            *("status", "code", "account_id", "uid", "access_key_id", "legacy", "duration_us"),
        }
        assert line["address"] == "127.0.0.1"
        assert 0 < line["duration_us"] < 10_000_000
        assert "?" not in line["path"]


def test_access_log_names_the_caller_only_once_proven(place_with_log: Logged) -> None:
    for line in place_with_log.lines:
        proven = line["status"] == 200 or line["code"] == "InvalidParameter"
        assert bool(line["uid"]) is bool(line["access_key_id"]) is bool(line["account_id"]) is proven


def test_no_secret_is_in_log_or_answer(place_with_log: Logged) -> None:
    for secret in place_with_log.secrets:
        assert secret not in place_with_log.text
        assert all(secret.encode() not in body for body in place_with_log.answers)


def test_every_line_is_whole_when_two_workers_write_to_one_pipe(tmp_path: Path) -> None:
    """Long paths, so that what is gathered in a fifth of a second is more than a pipe takes at once."""
    installation, port = make_installation(tmp_path), free_port()
    words = [f"listen=127.0.0.1:{port}", "tls=off", "metrics_listen=off", "workers=2"]
    command = [*PROGRAM, "serve", *(word for setting in words for word in ("--set", setting))]
    process = subprocess.Popen(command, env=installation.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    read: list[bytes] = []

    def read_late() -> None:
        time.sleep(2)  # until the pipe is full
        read.extend(process.stdout or [])

    reader = threading.Thread(target=read_late)
    reader.start()
    try:
        wait_for_port(port, process)
        request = f"GET /{'p' * 490} HTTP/1.1\r\nHost: x\r\n"
        requests = (f"{request}\r\n" * 39 + f"{request}Connection: close\r\n\r\n").encode()

        def call_often() -> None:
            for _ in range(5):
                with socket.create_connection(("127.0.0.1", port), 20) as connection:
                    connection.sendall(requests)
                    while connection.recv(65536):
                        pass

        callers = [threading.Thread(target=call_often) for _ in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    finally:
        process.terminate()
        process.wait(20)
        reader.join()
        process.stdout.close()
    lines = [json.loads(line) for line in read]
    assert len({line["request_id"] for line in lines}) == len(lines) == 1600


# --- who called: the socket, or what a declared proxy says


def logged_address(installation: Installation, forwarded: list[str], **settings: str) -> str:
    with serving(installation, **settings) as server:
        call(server, installation.key, added=[("x-forwarded-for", value) for value in forwarded])
    lines = [line for line in server.log.read_text().splitlines() if line.startswith("{")]
    address: str = json.loads(lines[-1])["address"]
    return address


def test_x_forwarded_for_is_not_believed_from_anybody(installation: Installation) -> None:
    assert logged_address(installation, ["192.0.2.7"]) == "127.0.0.1"
    assert logged_address(installation, ["192.0.2.7"], trusted_proxies="10.0.0.0/8") == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["192.0.2.7"], "192.0.2.7"),
        (["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        (["6.6.6.6", "192.0.2.7, 10.1.2.3"], "192.0.2.7"),
        (["2001:db8::1"], "2001:db8::1"),
        (["6.6.6.6, not an address"], "127.0.0.1"),
        ([], "127.0.0.1"),
    ],
)
def test_x_forwarded_for_of_a_declared_proxy_is_its_own_entry(
    installation: Installation, forwarded: list[str], address: str
) -> None:
    assert logged_address(installation, forwarded, trusted_proxies="127.0.0.1,10.0.0.0/8") == address


# --- secrets in what is imported


def test_private_key_of_a_kubeconfig_is_in_no_event_table_or_output(installation: Installation) -> None:
    """The canary is a key that is no key: what cannot be read must not be shown either."""
    now = int(time.time())
    pair = make_client_certificate(make_ca("ca", now - 100, 10), "21-1", ["system:users"], now - 50, now + 50_000)
    planted_body = base64.b64encode(CANARY.encode()).decode()
    planted = f"-----BEGIN PRIVATE KEY-----\n{planted_body}\n-----END PRIVATE KEY-----\n"
    folder = installation.settings.data_dir.parent
    good, bad = folder / "good.yaml", folder / "bad.yaml"
    for path, key in ((good, pair.private_key), (bad, planted.encode())):
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "users": [
                        {
                            "name": "u",
                            "user": {
                                "client-certificate-data": base64.b64encode(pair.certificate).decode(),
                                "client-key-data": base64.b64encode(key).decode(),
                                "token": CANARY,
                                "password": CANARY,
                                "username": CANARY,
                            },
                        }
                    ],
                }
            )
        )
    installation.command("admin", "clusters", "add", "only")
    imported = "admin", "credentials", "import", str(good), str(bad), "--cluster", "only"
    done = [installation.command(*imported, *more) for more in ((), ("--keep-private-keys",), ("-o", "json"))]
    told = "".join(each.stdout + each.stderr for each in done)
    store = sqlite3.connect(installation.settings.store_file)
    stored = "\n".join(store.iterdump())
    store.close()
    key_body = base64.b64encode(read_candidates(good.read_bytes(), "good")[0].private_key or b"").decode()[200:260]
    pem_body = pair.private_key.decode().splitlines()[2][:40]
    for text in (told, stored):
        for secret in (CANARY, planted_body, key_body, pem_body):
            assert secret not in text


# --- TLS


def test_https_is_spoken_with_the_root_that_init_made_and_no_less_than_tls_1_2(installation: Installation) -> None:
    with serving(installation, tls="on") as server:
        context = ssl.create_default_context(cafile=str(installation.settings.tls_root_file))
        with urllib.request.urlopen(f"{server.url}/healthz", context=context, timeout=10) as answer:
            assert answer.read() == b"ok\n"
        host, _, port = server.url.partition("://")[2].partition(":")
        with (
            socket.create_connection((host, int(port)), 10) as raw,
            context.wrap_socket(raw, server_hostname=host) as secure,
        ):
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
