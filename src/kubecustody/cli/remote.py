"""Commands that call the API: where, and as whom."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from kubecustody.cli.output import note
from kubecustody.cli.profiles import PROFILE_VARIABLE, read_profile
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.client.blocking import TIMEOUT_SECONDS
from kubecustody.core.errors import OperatorError

ID_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_ID"
SECRET_VARIABLE = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"  # noqa: S105 - the name of the variable
TOKEN_VARIABLE = "ALIBABA_CLOUD_SECURITY_TOKEN"  # noqa: S105 - the name of the variable
ENDPOINT_VARIABLE = "KUBECUSTODY_ENDPOINT"
# How the members of a profile are called.
_MEMBERS = {ID_VARIABLE: "access_key_id", SECRET_VARIABLE: "access_key_secret", ENDPOINT_VARIABLE: "endpoint"}


def remote_choices(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --endpoint, --key-file and --ca, and what was said as its argument `remote`."""

    @click.option("--endpoint", "url", metavar="URL", help=f"Address of the API; else {ENDPOINT_VARIABLE}.")
    @click.option(
        "--key-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File of NAME=value lines as `init` and `admin keys add` write it, or of profiles (ALIBABA_CLOUD_PROFILE "
        "says which); else the environment.",
    )
    @click.option(
        "--ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Root certificate of the server; else SSL_CERT_FILE, else the system's.",
    )
    @wraps(command)
    def with_choices(*, url: str | None, key_file: Path | None, ca: Path | None, **options: Any) -> Any:
        return command(remote=(url, key_file, ca), **options)

    return with_choices


def remote_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --endpoint, --key-file and --ca, and what they come to as its argument `endpoint`."""

    @wraps(command)
    def with_endpoint(*, remote: tuple[str | None, Path | None, Path | None], **options: Any) -> Any:
        return command(endpoint=find_endpoint(*remote), **options)

    return remote_choices(with_endpoint)


@contextmanager
def calling(endpoint: Endpoint, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[Client]:
    """A client. An error that the server answers is told, and ends the command with exit code 1."""
    with Client(endpoint, timeout_seconds=timeout_seconds) as client:
        try:
            yield client
        except ApiError as error:
            note(str(error))
            sys.exit(1)


def find_endpoint(url: str | None, key_file: Path | None, ca: Path | None) -> Endpoint:
    """Where the API is and as whom to call it, from what was said and the environment. Raises OperatorError."""
    from_file = _read_key_file(key_file) if key_file else {}
    if key_file and ID_VARIABLE not in from_file:
        raise OperatorError(f"{key_file} has no line {ID_VARIABLE}=...; is it a file that `init` or `keys add` wrote?")
    # A key, its secret and its token belong together: never one from the file and another from the environment.
    given = from_file if key_file else os.environ
    missing = [name for name in (ID_VARIABLE, SECRET_VARIABLE) if not given.get(name)]
    if missing:
        if key_file:
            raise OperatorError(f"{key_file} has no {' and no '.join(missing)}; it must be as `keys add` wrote it.")
        raise OperatorError(f"No access key: set {' and '.join(missing)}, or name a --key-file.")
    url = url or from_file.get(ENDPOINT_VARIABLE) or os.environ.get(ENDPOINT_VARIABLE)
    if not url:
        raise OperatorError(f"No endpoint: set {ENDPOINT_VARIABLE} (https://HOST:PORT), or say --endpoint.")
    return Endpoint(url, given[ID_VARIABLE], given[SECRET_VARIABLE], ca, given.get(TOKEN_VARIABLE) or None)


def _read_key_file(path: Path) -> dict[str, str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise OperatorError(f"{path} cannot be read as a key file: NAME=value lines, as `init` writes them.") from None
    if any(line.startswith("[") for line in text.splitlines()):
        profile = read_profile(text, path, os.environ.get(PROFILE_VARIABLE))
        return {variable: profile[member] for variable, member in _MEMBERS.items() if member in profile}
    pairs = (line.removeprefix("export ").partition("=") for line in text.splitlines() if "=" in line)
    return {name.strip(): value.strip().strip("'\"") for name, _, value in pairs}
