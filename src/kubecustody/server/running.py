"""Running the API: what a serving process does from its start to its stop. Several of them: `server.workers`."""

import asyncio
import contextlib
import ctypes
import logging
import queue
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import uvicorn
import uvloop

from kubecustody.core.errors import OperatorError
from kubecustody.custody.installation import Custody, is_renewal_due, open_custody
from kubecustody.pages.serving import check_prefix
from kubecustody.server.protocol import BoundedProtocol
from kubecustody.settings import Settings
from kubecustody.store.nonces import NonceTable

BACKLOG = 2048
KEEP_ALIVE_SECONDS = 75
# SIGHUP: the terminal was closed.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_CERTIFICATE_PAUSE_SECONDS = 3600.0

# Signals to stop, as they come: a queue of this kind may be filled from a signal's handler.
Stopping: TypeAlias = "queue.SimpleQueue[int]"

log = logging.getLogger("kubecustody.server")


def serve(settings: Settings, *, ready: Callable[[tuple[str, int]], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the address once the socket listens.

    Raises OperatorError where the installation, an address or a certificate cannot be used.
    """
    stopping = note_signals()
    asyncio.run(_check(settings))
    with _listening(settings) as listener:
        if ready is not None:
            ready(listener.getsockname()[:2])
        if settings.workers == 1:
            from prometheus_client import CollectorRegistry

            registry = CollectorRegistry()
            with metrics_server(settings, registry):
                run_worker(settings, listener, registry, stopping)
        else:
            from kubecustody.server.workers import supervise

            supervise(settings, listener, stopping)


def note_signals() -> Stopping:
    """Note signals to stop from here on, so that none comes too early to count or kills halfway through a start."""
    stopping: Stopping = queue.SimpleQueue()
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda number, _: stopping.put(number))
    return stopping


async def _check(settings: Settings) -> None:
    """Open everything once, so that a fault is told before anything listens; renew our own certificate."""
    store, custody = await open_custody(settings)
    try:
        await _renew_if_due(settings, custody)
        NonceTable.open(settings.nonces_file, now=time.time(), slots=settings.nonce_slots).close()
    finally:
        store.close()
    if settings.tls == "on":
        _check_certificate(settings)
    check_prefix(settings.pages_prefix)


async def _renew_if_due(settings: Settings, custody: Custody) -> None:
    """Renew the server certificate of our own making where it is in use and due; a failure is told, and no more."""
    own = settings.data_dir / "tls" / "server.pem"
    if settings.tls == "off" or settings.tls_certificate_file != own:
        return
    if not await is_renewal_due(custody, time.time()):
        return
    from kubecustody.custody.transport import renew_transport

    try:
        await renew_transport(custody, settings, time.time())
        log.info("renewed the server certificate")
    except (OSError, OperatorError) as error:
        log.error("the server certificate is due and could not be renewed: %s", error)


async def _keep_certificate(settings: Settings, custody: Custody, context: ssl.SSLContext) -> None:
    """Renew the server certificate when it is due, and use what another worker or the operator put in its place."""
    used = settings.tls_certificate_file.stat().st_mtime_ns
    while True:
        await asyncio.sleep(_CERTIFICATE_PAUSE_SECONDS)
        await _renew_if_due(settings, custody)
        with contextlib.suppress(OSError):
            if (now := settings.tls_certificate_file.stat().st_mtime_ns) != used:
                context.load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
                used = now
                log.info("serving with the certificate that is now in %s", settings.tls_certificate_file)


def _check_certificate(settings: Settings) -> None:
    for path in (settings.tls_certificate_file, settings.tls_key_file):
        if not path.is_file():
            raise OperatorError(
                f"There is no file {path}. `kubecustody init` makes one; or set tls_certificate_file and tls_key_file."
            )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate_file, settings.tls_key_file)
    except OSError as error:  # SSLError is one
        raise OperatorError(
            f"{settings.tls_certificate_file} and {settings.tls_key_file} cannot be read as a certificate chain and "
            f"its private key, both PEM ({error.strerror or error}). Set tls_certificate_file and tls_key_file."
        ) from error


@contextlib.contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise OperatorError(f"{settings.listen} cannot be listened on: {error.strerror}. Set `listen`.") from error
        listener.listen(BACKLOG)
        listener.set_inheritable(True)
        yield listener
    finally:
        listener.close()


@contextlib.contextmanager
def metrics_server(settings: Settings, registry: Any) -> Iterator[None]:
    """Answers the registry's metrics and those of the store at their own address, from a thread."""
    address = settings.metrics_address
    if address is None:
        yield
        return
    from prometheus_client import start_http_server

    from kubecustody.server.store_metrics import StoreMetrics

    registry.register(StoreMetrics(settings))
    try:
        server, thread = start_http_server(address[1], address[0], registry)
    except OSError as error:
        raise OperatorError(
            f"{settings.metrics_listen} cannot be listened on: {error.strerror}. Set `metrics_listen`, or `off`."
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def run_worker(settings: Settings, listener: socket.socket, registry: Any, stopping: Stopping) -> None:
    """Serve in this process until it is told to stop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener, registry, stopping))


async def _serve(settings: Settings, listener: socket.socket, registry: Any, stopping: Stopping) -> None:
    from kubecustody.server.access_log import AccessLog
    from kubecustody.server.application import Application
    from kubecustody.server.metrics import Metrics

    store, custody = await open_custody(settings)
    access_log = AccessLog(sys.stdout.buffer if settings.access_log == "on" else None)
    try:
        with NonceTable.open(settings.nonces_file, now=time.time(), slots=settings.nonce_slots) as nonces:
            application = Application(settings, custody, nonces, metrics=Metrics(registry), access_log=access_log)
            _give_memory_back()
            config = server_config(settings, application)
            config.load()
            keeper = config.ssl and asyncio.create_task(_keep_certificate(settings, custody, config.ssl))
            kept = (application.tasks, application.observer, application.key_uses, application.failed_requests)
            beside = [asyncio.create_task(one.keep()) for one in kept]
            server = uvicorn.Server(config)
            # From here on the server itself is told; it raises the signal once more when it has stopped.
            for number in _STOP_SIGNALS:
                signal.signal(number, server.handle_exit)
            server.should_exit = server.should_exit or not stopping.empty()
            await server.serve(sockets=[listener])
            if keeper:
                keeper.cancel()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await application.tasks.close()
            await application.key_uses.write()
            await application.failed_requests.write()
            await custody.close_connections()
    finally:
        access_log.flush()
        store.close()


def _give_memory_back() -> None:
    """Return to the system what only the start needed, some 4 MB a worker, where the C library can (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def server_config(settings: Settings, application: Any) -> uvicorn.Config:
    """How uvicorn runs the application."""
    tls: dict[str, Any] = {}
    if settings.tls == "on":
        tls = {
            "ssl_certfile": str(settings.tls_certificate_file),
            "ssl_keyfile": str(settings.tls_key_file),
        }
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=BoundedProtocol,
        interface="asgi3",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.graceful_timeout_seconds,
        **tls,
    )
