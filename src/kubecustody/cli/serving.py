"""`kubecustody serve` and `kubecustody settings`."""

import logging
import sys
from pathlib import Path

import click

from kubecustody.cli.machine import data_dir_option, settings_of
from kubecustody.core.errors import OperatorError
from kubecustody.settings import PREFIX, TABLE


@click.command("serve")
@data_dir_option
@click.option("--listen", metavar="ADDRESS:PORT", help="Setting listen.")
@click.option("--workers", metavar="N", help="Setting workers.")
@click.option("--set", "others", multiple=True, metavar="NAME=VALUE", help="Any other setting, for this run.")
def serve_command(data_dir: Path | None, listen: str | None, workers: str | None, others: tuple[str, ...]) -> None:
    """Serve the API until SIGTERM or ctrl-C."""
    from kubecustody.server.running import serve

    overrides: dict[str, str | None] = {"listen": listen, "workers": workers}
    for other in others:
        name, equals, value = other.partition("=")
        if not equals or name not in {setting.name for setting in TABLE}:
            raise OperatorError(f"{other!r} is no NAME=VALUE of a setting. `kubecustody settings` lists them.")
        overrides[name] = value
    settings = settings_of(data_dir, **overrides)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")

    def ready(address: tuple[str, int]) -> None:
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        scheme = "https" if settings.tls == "on" else "http"
        click.echo(
            f"Serving on {scheme}://{host}:{address[1]} (metrics: {settings.metrics_listen}). Ctrl-C stops.", err=True
        )

    serve(settings, ready=ready)


@click.command("settings")
@data_dir_option
@click.option("-o", "--output", type=click.Choice(["table", "json", "csv", "ndjson"]), default="table")
def settings_command(data_dir: Path | None, output: str) -> None:
    """List every setting with its value in force."""
    from kubecustody.cli.output import print_rows

    settings = settings_of(data_dir)
    rows = [
        {
            "name": setting.name,
            "value": str(getattr(settings, setting.name)),
            "unit": setting.unit,
            "environment": PREFIX + setting.name.upper(),
            "meaning": setting.doc,
        }
        for setting in TABLE
    ]
    print_rows(rows, ["name", "value", "unit", "meaning"], output)
