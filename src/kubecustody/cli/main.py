"""The command line. Exit codes: 0 done, 1 the server answered an error, 2 a fault that the text explains."""

import sys

import click

from kubecustody import __version__
from kubecustody.catalogue.errors import describe_error
from kubecustody.cli.admin import admin_group
from kubecustody.cli.calling import call_command
from kubecustody.cli.demo import demo_command
from kubecustody.cli.initialise import init_command
from kubecustody.cli.output import note
from kubecustody.cli.serving import serve_command, settings_command
from kubecustody.core.errors import OperatorError, RequestError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kubecustody")
def commands() -> None:
    """Who holds a kubeconfig on which cluster, and is its certificate still good?

    Begin with `kubecustody demo`, or with `kubecustody init` and `kubecustody serve`.
    """


for command in (init_command, serve_command, settings_command, call_command, demo_command, admin_group):
    commands.add_command(command)


def main() -> None:
    """Run the command line; every foreseen fault is one text on standard error."""
    try:
        commands(prog_name="kubecustody")
    except OperatorError as error:
        note(f"Error: {error}")
        sys.exit(2)
    except RequestError as error:
        note(f"Error: {describe_error(error).message}")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output went away; keep Python from failing again when it flushes.
        sys.stdout = None
        sys.exit(0)


if __name__ == "__main__":
    main()
