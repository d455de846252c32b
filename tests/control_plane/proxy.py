"""Many clusters made of one API server: a proxy with an address for each, and a switch for what goes wrong there.

    with Proxy(plane) as proxy:
        cluster = proxy.add_cluster()
        plane.kubectl("get", "namespaces", url=cluster.url)
        cluster.fault = Fault.status(429, retry_after_seconds=2, times=1)

Each cluster has an address of 127.0.0.0/8, all of which Linux answers on, a server certificate for it of the plane's
server CA, and a kube-system uid of its own. For that the proxy ends TLS. Bearer tokens go on as they came. A client
certificate is verified here against the plane's own client CA; its holder's name, groups and credential id then go on
in the headers of an authenticating front proxy
(kubernetes.io/docs/reference/access-authn-authz/authentication/, "Authenticating Proxy").

One thing differs from an API server: a certificate that does not hold breaks the handshake instead of being answered
with 401. Whoever tests such certificates asks the API server itself, or adds a cluster with `passes_tls_through=True`:
its bytes go through as they come, it has the real uid, and of the faults only `down` and `slow`.
"""

import asyncio
import contextlib
import json
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote, urlsplit

from aiohttp import ClientError, ClientResponse, ClientSession, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from control_plane.control_plane import PASS_THROUGH_ADDRESSES, ControlPlane
from control_plane.identities import client_context, load_pair
from kubecustody.pki.certificates import Certificate, load_certificate_der
from kubecustody.pki.issuing import PemPair, make_ca
from kubecustody.pki.tls import make_server_certificate

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
TOLD_CLIENT_CA = f"{KUBE_SYSTEM}/configmaps/extension-apiserver-authentication"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}
HTML = b"<html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
GRACE_SECONDS = 0.05  # aiohttp takes 0 for no limit
ENDLESS_BLOCK = b'{"metadata":{"name":"one-more"}},' * 1000

# RFC 9110, 7.6.1; whom a request comes from is said here alone.
NOT_FORWARDED = ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length")
IDENTITY_PREFIX = "x-remote-"

T = TypeVar("T")


class Kind(StrEnum):
    """What can go wrong with a cluster."""

    DOWN = "down"
    SLOW = "slow"
    WRONG_CA = "wrong CA"
    STATUS = "status"
    CUT = "cut"
    HTML = "html"
    ENDLESS = "endless"


def every_request(method: str, path: str) -> bool:
    return True


@dataclass(slots=True)
class Fault:
    """A fault, for the requests (method, path) that it strikes; after `times` of them, if given, it is over."""

    kind: Kind
    code: int = 0
    seconds: float = 0
    strikes: Callable[[str, str], bool] = every_request
    times: int | None = None

    @classmethod
    def down(cls) -> Self:
        """The address refuses connections, and those that are open end."""
        return cls(Kind.DOWN)

    @classmethod
    def slow(cls, seconds: float, **named: Any) -> Self:
        """Every answer, or with TLS passed through every connection, begins so much later."""
        return cls(Kind.SLOW, seconds=seconds, **named)

    @classmethod
    def wrong_ca(cls) -> Self:
        """The server certificate is one of a CA that nobody trusts."""
        return cls(Kind.WRONG_CA)

    @classmethod
    def status(cls, code: int, retry_after_seconds: float = 0, **named: Any) -> Self:
        """A Status document with this code, and with Retry-After if seconds are given."""
        return cls(Kind.STATUS, code, retry_after_seconds, **named)

    @classmethod
    def cut(cls, **named: Any) -> Self:
        """The real answer ends in its middle, with the connection."""
        return cls(Kind.CUT, **named)

    @classmethod
    def html(cls, **named: Any) -> Self:
        """A page for people with code 200, as of a portal in the way."""
        return cls(Kind.HTML, **named)

    @classmethod
    def endless(cls, **named: Any) -> Self:
        """JSON with code 200 that never ends."""
        return cls(Kind.ENDLESS, **named)

    def take(self, method: str, path: str) -> bool:
        """Whether it strikes this request, which then counts."""
        if self.times == 0 or not self.strikes(method, path):
            return False
        if self.times is not None:
            self.times -= 1
        return True


class Seen(NamedTuple):
    """A request that came to a cluster; user: CN of its client certificate. at: time.monotonic."""

    method: str
    path: str
    user: str | None
    at: float


@dataclass
class Cluster:
    """One address of the proxy; `requests` is what it was asked, also where a fault was the answer."""

    proxy: "Proxy"
    address: str
    uid: str
    passes_tls_through: bool = False
    port: int = 0
    client_ca: bytes | None = None  # what it says that it takes; None: what the plane says
    requests: list[Seen] = field(default_factory=list)
    _fault: Fault | None = None
    _listener: asyncio.Server | None = None
    _server: web.Server | None = None
    _passing: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}"

    @property
    def fault(self) -> Fault | None:
        """What goes wrong here; may be set at any time and is in force at once. None heals."""
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | None) -> None:
        self.proxy.run(self._set_fault(fault))

    async def _set_fault(self, fault: Fault | None) -> None:
        kinds = {one.kind for one in (self._fault, fault) if one}
        self._fault = fault
        if kinds & {Kind.DOWN, Kind.WRONG_CA}:
            await self.close()
            await self.listen()

    async def listen(self) -> None:
        """Take connections, as far as the fault lets it; the port stays the same."""
        kind = self._fault.kind if self._fault else None
        if kind is Kind.DOWN:
            return
        if self.passes_tls_through:
            self._listener = await asyncio.start_server(self._pass_through, self.address, self.port)
        else:
            self._server = web.Server(self._answer, access_log=None)
            tls = self.proxy.server_context(self.address, wrong_ca=kind is Kind.WRONG_CA)
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._server, self.address, self.port, ssl=tls)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections, and end those that are open."""
        if self._listener is not None:
            self._listener.close()
        if self._server is not None:
            await self._server.shutdown(GRACE_SECONDS)
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        holder = _holder_of(request)
        self.requests.append(
            Seen(request.method, request.path_qs, holder.common_name if holder else None, time.monotonic())
        )
        fault = self._fault
        if fault is None or not fault.take(request.method, request.path):
            return await self._forward(request, holder)
        match fault.kind:
            case Kind.SLOW:
                await asyncio.sleep(fault.seconds)
                return await self._forward(request, holder)
            case Kind.STATUS:
                return _status(fault)
            case Kind.HTML:
                return web.Response(body=HTML, content_type="text/html")
            case Kind.ENDLESS:
                return await _answer_without_end(request)
            case _:
                return await self._forward(request, holder, cut=True)

    def body_of(self, method: str, path: str, body: bytes) -> bytes:
        """With what body a request goes on; a cluster of another kind changes it."""
        return body

    async def _forward(
        self, request: web.BaseRequest, holder: Certificate | None, *, cut: bool = False
    ) -> web.StreamResponse:
        if self.client_ca is not None and (request.method, request.path) == ("GET", TOLD_CLIENT_CA):
            return web.json_response({"metadata": {}, "data": {"client-ca-file": self.client_ca.decode()}})
        is_kube_system = request.path == KUBE_SYSTEM
        headers = _headers_for(request, holder)
        if is_kube_system:
            headers.popall("Accept-Encoding", None)  # what is packed could not be changed
        url = URL(self.proxy.plane.url + request.raw_path, encoded=True)
        session = self.proxy.session(as_front_proxy=holder is not None)
        body = self.body_of(request.method, request.path, await request.read())
        async with session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
            if not (is_kube_system or cut):
                return await _relay(request, answer)
            whole = await answer.read()
            # Both uids have 36 bytes, so that this holds for JSON, tables and protobuf alike.
            whole = whole.replace(self.proxy.real_uid.encode(), self.uid.encode())
            out = web.StreamResponse(status=answer.status, headers=_headers_of(answer))
            out.content_length = len(whole)
            await out.prepare(request)
            await out.write(whole[: len(whole) // 2] if cut else whole)
            if cut and request.transport is not None:
                request.transport.close()
            return out

    async def _pass_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            if self._fault and self._fault.kind is Kind.SLOW and self._fault.take("", ""):
                await asyncio.sleep(self._fault.seconds)
            there = urlsplit(self.proxy.plane.url)
            far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
            with contextlib.closing(far_writer), contextlib.suppress(OSError):
                await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._passing.discard(task)
            writer.close()


class Proxy:
    """The proxy in front of a plane's first API server, served by a thread of its own within the block."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane, self.real_uid = plane, plane.uid()
        self.clusters: list[Cluster] = []
        self._stranger = make_ca("a CA that nobody trusts", int(time.time()), 1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self._open_sessions())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def add_cluster(
        self, address: str | None = None, *, uid: str | None = None, passes_tls_through: bool = False
    ) -> Cluster:
        """A cluster at an address of its own, with a uid of its own; both are made up unless given."""
        number = sum(one.passes_tls_through == passes_tls_through for one in self.clusters)
        if address is None:
            address = (
                PASS_THROUGH_ADDRESSES[number] if passes_tls_through else f"127.1.{number // 250}.{number % 250 + 1}"
            )
        own_uid = self.real_uid if passes_tls_through else uid or str(uuid.uuid4())
        cluster = Cluster(self, address, own_uid, passes_tls_through)
        self.run(cluster.listen())
        self.clusters.append(cluster)
        return cluster

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, done in the proxy's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def session(self, *, as_front_proxy: bool) -> ClientSession:
        """Connections to the API server that may speak for others, or may not."""
        return self._sessions[as_front_proxy]

    def server_context(self, address: str, *, wrong_ca: bool) -> ssl.SSLContext:
        """TLS settings of a cluster at this address."""
        pair = make_server_certificate(
            self._stranger if wrong_ca else self.plane.server_authority, [address], int(time.time())
        )
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=self.plane.client_ca.certificate.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        load_pair(context, pair)
        return context

    async def _open_sessions(self) -> None:
        self._sessions = [self._open_session(pair) for pair in (None, self.plane.front_proxy)]

    def _open_session(self, pair: PemPair | None) -> ClientSession:
        tls = client_context(self.plane.server_ca, pair)
        return ClientSession(
            connector=TCPConnector(limit=0, ssl=tls),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        )

    async def _close(self) -> None:
        await asyncio.gather(*(cluster.close() for cluster in self.clusters))
        for session in self._sessions:
            await session.close()
        await asyncio.sleep(0.1)  # aiohttp's TLS connections end a moment later
        slow = asyncio.all_tasks() - {asyncio.current_task()}  # answers that were still to come
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


def _holder_of(request: web.BaseRequest) -> Certificate | None:
    """The client certificate of a request, which the handshake verified."""
    assert request.transport is not None
    der = request.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return load_certificate_der(der) if der else None


def _headers_for(request: web.BaseRequest, holder: Certificate | None) -> CIMultiDict[str]:
    """The headers with which a request goes on."""
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in NOT_FORWARDED and not name.lower().startswith(IDENTITY_PREFIX)
    )
    if holder is not None and holder.common_name is not None:
        headers["X-Remote-User"] = holder.common_name
        for group in holder.organizations:
            headers.add("X-Remote-Group", group)
        headers[f"X-Remote-Extra-{quote(CREDENTIAL_ID, safe='')}"] = f"X509SHA256={holder.fingerprint_hex}"
    return headers


def _headers_of(answer: ClientResponse) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in NOT_FORWARDED)


async def _relay(request: web.BaseRequest, answer: ClientResponse) -> web.StreamResponse:
    """The answer, piece by piece as it comes: a watch has no end."""
    out = web.StreamResponse(status=answer.status, headers=_headers_of(answer))
    out.content_length = answer.content_length
    await out.prepare(request)
    with contextlib.suppress(ClientError, ConnectionError):
        async for piece in answer.content.iter_any():
            await out.write(piece)
    return out


def _status(fault: Fault) -> web.Response:
    reason = REASONS.get(fault.code, "")
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"a fault of the test: {reason}",
        "reason": reason,
        "code": fault.code,
    }
    headers = {"Retry-After": f"{fault.seconds:.0f}"} if fault.seconds else {}
    return web.Response(status=fault.code, text=json.dumps(document), content_type="application/json", headers=headers)


async def _answer_without_end(request: web.BaseRequest) -> web.StreamResponse:
    out = web.StreamResponse(headers={"Content-Type": "application/json"})
    await out.prepare(request)
    with contextlib.suppress(ConnectionError):
        await out.write(b'{"kind":"List","apiVersion":"v1","items":[')
        while request.transport is not None and not request.transport.is_closing():
            await out.write(ENDLESS_BLOCK)
            await asyncio.sleep(0)  # writes to who is gone are dropped, and wait for nobody
    return out


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
