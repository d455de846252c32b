"""A server on loopback that does what its script says, request by request, and keeps what it was asked."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

# Carries out an answer on a connection; whether that stays open then.
Act = Callable[[socket.socket], bool]


@dataclass(frozen=True)
class Asked:
    """A request as it came; connection: the number of the connection, from 1; at: when, in monotonic seconds."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    at: float

    @property
    def nonce(self) -> str:
        return self.headers["x-acs-signature-nonce"]


@dataclass
class Faulty:
    """Answers the requests with the acts of the script in turn; the last act goes on for ever."""

    script: list[Act]
    listener: socket.socket
    asked: list[Asked] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def nonces(self) -> set[str]:
        return {asked.nonce for asked in self.asked}

    def run(self) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                self.begin(self.serve, connection, len(self.connections))

    def begin(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self.threads.append(thread)
        thread.start()

    def serve(self, connection: socket.socket, number: int) -> None:
        with connection, contextlib.suppress(OSError):
            while asked := read_request(connection, number):
                with self.lock:
                    self.asked.append(asked)
                    act = self.script.pop(0) if len(self.script) > 1 else self.script[0]
                if not act(connection):
                    return

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(10)
        self.listener.close()


def read_request(connection: socket.socket, number: int) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Asked(method, target, headers, body, number, time.monotonic())


@contextlib.contextmanager
def faulty(*script: Act, listener: socket.socket | None = None) -> Iterator[Faulty]:
    """The server, until the block ends."""
    server = Faulty(list(script), listener or socket.create_server(("127.0.0.1", 0)))
    server.begin(server.run)
    try:
        yield server
    finally:
        server.stop()


# --- acts


def raw(data: bytes, *, stay: bool = False) -> Act:
    def act(connection: socket.socket) -> bool:
        connection.sendall(data)
        return stay

    return act


def answer(status: int = 200, body: Any = None, *, stay: bool = True, **headers: str) -> Act:
    """An answer with this body as JSON (bytes: as they are) and these headers (`_` is a hyphen)."""
    return raw(format_answer(status, body, **headers), stay=stay)


def format_answer(status: int, body: Any, **headers: str) -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


def error(status: int, code: str, **headers: str) -> Act:
    return answer(status, {"Code": code, "Message": "It is so.", "RequestId": "R"}, x_acs_request_id="R", **headers)


def cut_in_the_midst(body: Any) -> Act:
    """All of an answer but its last byte."""
    return raw(format_answer(200, body)[:-1])


HANG_UP = raw(b"")


def close_after(seconds: float, act: Act) -> Act:
    """As `act`, and so much later the connection is closed without a word."""

    def both(connection: socket.socket) -> bool:
        act(connection)
        time.sleep(seconds)
        return False

    return both
