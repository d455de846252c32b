"""The usual way as a running server."""

import asyncio
from pathlib import Path

from bench.fleet import Fleet
from bench.rival_usual.models import create_database
from bench.servers import Server, free_port, start, uvicorn_command


def start_usual(data: Fleet, directory: Path) -> Server:
    """A server over a new database with the fleet; its files lie in `directory`."""
    database, port = directory / "usual.sqlite", free_port()
    asyncio.run(create_database(database, data))
    return start(
        "usual",
        uvicorn_command("bench.rival_usual.app:app", port),
        port=port,
        log=directory / "usual.out",
        environment={"RIVAL_DATABASE": str(database), "RIVAL_LOG": str(directory / "usual.access.log")},
    )
