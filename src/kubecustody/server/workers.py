"""Several workers on one listening socket: a parent that starts, replaces and stops them.

Loaded only where there are several, so that a single worker does not carry it.
"""

import logging
import multiprocessing
import os
import queue
import signal
import socket
import sys
import tempfile
import threading
from multiprocessing.process import BaseProcess
from typing import Any

from kubecustody.core.errors import OperatorError
from kubecustody.server.running import Stopping, metrics_server, note_signals, run_worker
from kubecustody.settings import Settings

_RESTART_PAUSE_SECONDS = 1.0

log = logging.getLogger("kubecustody.server")


def supervise(settings: Settings, listener: socket.socket, stopping: Stopping) -> None:
    """Keep the workers that the settings want on this socket until it is told to stop; their metrics are added up."""
    with tempfile.TemporaryDirectory(prefix="kubecustody-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        with metrics_server(settings, registry):
            _keep_workers(settings, listener, stopping)


def _keep_workers(settings: Settings, listener: socket.socket, stopping: Stopping) -> None:
    workers: list[BaseProcess] = []
    while not _is_told_to_stop(stopping, _RESTART_PAUSE_SECONDS if workers else 0):
        dead = [worker for worker in workers if not worker.is_alive()]
        for worker in dead:
            log.error("worker %s ended with exit code %s; another is started", worker.pid, worker.exitcode)
        workers = [worker for worker in workers if worker.is_alive()]
        workers += [_start_worker(settings, listener) for _ in range(settings.workers - len(workers))]
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(settings.graceful_timeout_seconds + 5)
        if worker.is_alive():
            worker.kill()


def _is_told_to_stop(stopping: Stopping, wait_seconds: float) -> bool:
    try:
        stopping.get(timeout=wait_seconds)
    except queue.Empty:
        return False
    return True


def _start_worker(settings: Settings, listener: socket.socket) -> BaseProcess:
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=_worker_main, args=(settings, listener), name="kubecustody-worker")
    worker.start()
    return worker


def _worker_main(settings: Settings, listener: socket.socket) -> None:
    from prometheus_client import CollectorRegistry

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    try:
        run_worker(settings, listener, CollectorRegistry(), note_signals())
    except OperatorError as error:
        log.error("%s", error)
        sys.exit(1)


def _end_with(parent: Any) -> None:
    """Stop this worker when the parent is gone, even killed."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
