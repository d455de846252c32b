"""Commands that work on the store of their own machine: who acts, which account, which installation."""

import asyncio
import getpass
import os
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from kubecustody.custody.changes import Author
from kubecustody.custody.installation import Custody, get_account, open_custody
from kubecustody.settings import Settings, load_settings

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the store (setting data_dir).",
)
account_option = click.option("--account", metavar="ACCOUNT", help="Id or name, where there are several.")
reason_option = click.option("--reason", required=True, help="Why; it is kept with the event.")


def settings_of(data_dir: Path | None = None, **overrides: str | None) -> Settings:
    """The settings in force, with what the command line says above the rest."""
    given = {name: value for name, value in overrides.items() if value is not None}
    if data_dir is not None:
        given["data_dir"] = str(data_dir.absolute())
    return load_settings(overrides=given)


def actor() -> str:
    """Who runs this command: os:<uid>/<user>@<host>."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "?"
    return f"os:{os.geteuid()}/{user}@{socket.gethostname()}"


class Machine:
    """The installation on this machine, for the commands of `admin`."""

    def __init__(self, data_dir: Path | None, account_id: str | None) -> None:
        self._data_dir = data_dir
        self._account_id = account_id

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return settings_of(self._data_dir)

    def run(self, work: Callable[[Custody], Awaitable[T]]) -> T:
        """What `work` returns with the installation open. Raises OperatorError and what `work` raises."""

        async def whole() -> T:
            store, custody = await open_custody(self.settings)
            try:
                return await work(custody)
            finally:
                store.close()

        return asyncio.run(whole())

    def change(self, use_case: Callable[..., Awaitable[T]], *arguments: Any, reason: str = "", **named: Any) -> T:
        """What a use case returns that changes the account: it gets custody, account, author and time first."""

        async def work(custody: Custody) -> T:
            account = await get_account(custody, self._account_id)
            author = Author(actor(), reason=reason)
            return await use_case(custody, account.account_id, author, time.time(), *arguments, **named)

        return self.run(work)

    def look(self, use_case: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """What a use case returns that only reads: it gets custody and account first."""

        async def work(custody: Custody) -> T:
            account = await get_account(custody, self._account_id)
            return await use_case(custody, account.account_id, *arguments)

        return self.run(work)


def pass_machine(command: F) -> F:
    """Give a command the Machine that its group was told."""
    return cast("F", click.make_pass_decorator(Machine)(command))
