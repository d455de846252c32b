"""Our server with the fleet of the benchmark, run as `kubecustody serve` runs it."""

import sys
from pathlib import Path

import kubecustody
from bench.fleet import Fleet
from bench.servers import Server, free_port, start
from bench.stores import make_store
from kubecustody.settings import Settings


def start_ours(
    data: Fleet, directory: Path, name: str = "ours", *, pages: str = "on", source: Path | None = None
) -> Server:
    """A server over a new store with the fleet; its files lie in `directory`.

    source: the package of another checkout, which reads a store that this one made.
    """
    directory.mkdir(exist_ok=True)
    return serve_store(make_store(directory, data), directory, name, pages=pages, source=source)


def serve_store(
    settings: Settings,
    directory: Path,
    name: str = "ours",
    *,
    pages: str = "on",
    source: Path | None = None,
    python: Path | None = None,
) -> Server:
    """A server over this store: access log and metrics on, limits out of the way of a benchmark.

    python: an interpreter that has what the server needs, and not the package itself.
    """
    port = free_port()
    given = {
        "listen": f"127.0.0.1:{port}",
        "tls": "off",
        "metrics_listen": f"127.0.0.1:{free_port()}",
        "key_rate_per_second": "0",
        "account_rate_per_second": "0",
        "pages": pages,
    }
    command = [str(python or sys.executable), "-m", "kubecustody.cli.main", "serve"]
    command += ["--data-dir", str(settings.data_dir)]
    for setting, value in given.items():
        command += ["--set", f"{setting}={value}"]
    if python and not source:
        source = Path(kubecustody.__file__).parents[1]
    environment = {"PYTHONPATH": str(source)} if source else {}
    return start(name, command, port=port, log=directory / "ours.out", environment=environment)
