"""What happens on a connection before there is a request, and after the last one."""

import json
import socket
import ssl
import time

import pytest

from installations import Installation, serving


def send_raw(url: str, data: bytes) -> bytes:
    host, port = url.partition("://")[2].split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "data",
    [
        b"this is no HTTP\r\n\r\n",
        b"BREW / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /users/\xff/kubeconfig/states HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    ],
)
def test_what_is_no_http_is_answered_like_every_other_error(demo, data: bytes) -> None:
    head, _, body = send_raw(demo["endpoint"], data).partition(b"\r\n\r\n")
    error = json.loads(body)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert error["Code"] == error["code"] == "MalformedRequest"
    assert f"x-acs-request-id: {error['RequestId']}".encode() in head
    assert error["Message"] == error["message"]


def test_head_without_end_is_cut_off_and_others_are_served(demo) -> None:
    host, port = demo["endpoint"].partition("://")[2].split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        with pytest.raises(OSError, match=r"reset|Broken pipe|aborted"):
            for _ in range(1000):
                connection.sendall(b"x-filler: " + b"y" * 8000 + b"\r\n")
                time.sleep(0.001)
    assert send_raw(demo["endpoint"], b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").endswith(
        b"ok\n"
    )


def test_idle_tls_connection_does_not_hold_up_a_stop(installation: Installation) -> None:
    context = ssl.create_default_context(cafile=str(installation.settings.tls_root_file))
    with serving(installation, tls="on") as server:
        port = int(server.url.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            started = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - started < 5
