"""The command line.

Exit codes: 0 done, 1 the server answered an error, 2 a fault that the text explains, 3 a condition is met or
what is asked about is not known, 130 interrupted.

Each command's module is loaded when it is used, so that a server does not carry what only other commands need.
"""

import sys
from importlib import import_module
from typing import NoReturn

import click

from kubecustody import __version__
from kubecustody.core.errors import OperatorError, RequestError

_COMMANDS = {
    "init": ("kubecustody.cli.initialise", "init_command"),
    "serve": ("kubecustody.cli.serving", "serve_command"),
    "settings": ("kubecustody.cli.serving", "settings_command"),
    "clusters": ("kubecustody.cli.fleet", "clusters_group"),
    "get": ("kubecustody.cli.getting", "get_group"),
    "scan": ("kubecustody.cli.scanning", "scan_command"),
    "removed": ("kubecustody.cli.restoring", "removed_group"),
    "find": ("kubecustody.cli.credentials", "find_command"),
    "kill": ("kubecustody.cli.credentials", "kill_command"),
    "report": ("kubecustody.cli.credentials", "report_command"),
    "leaver": ("kubecustody.cli.leaving", "leaver_command"),
    "call": ("kubecustody.cli.calling", "call_command"),
    "demo": ("kubecustody.cli.demo", "demo_command"),
    "admin": ("kubecustody.cli.admin", "admin_group"),
    "audit": ("kubecustody.cli.auditing", "audit_group"),
    "policy": ("kubecustody.cli.policy", "policy_group"),
    "completion": ("kubecustody.cli.completion", "completion_command"),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command


_EXIT_CODES = (
    "Exit codes of every command, unless its help says otherwise: 0 done; 1 the server answered an error; 2 a fault "
    "that the text explains, and nothing was done; 3 a condition is met, or what is asked about is not known; 130 "
    "interrupted or declined."
)


@click.group(
    cls=_LazyGroup,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="kubecustody")
def commands() -> None:
    """Who holds a kubeconfig on which cluster, and is its certificate still good?

    Begin with `kubecustody demo`, or with `kubecustody init` and `kubecustody serve`.
    """


def main() -> None:
    """Run the command line; every foreseen fault is one text on standard error."""
    try:
        # Not standalone: click would end an interrupt with 1, which says here that the server answered an error.
        code = commands.main(prog_name="kubecustody", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except OperatorError as error:
        _fail(str(error))
    except RequestError as error:
        from kubecustody.catalogue.errors import describe_error

        _fail(describe_error(error).message)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read the output went away; keep Python from failing again when it flushes.
        sys.stdout = None
        sys.exit(0)


def _fail(text: str) -> NoReturn:
    from kubecustody.cli.output import printable  # a fault may name a file or a host of a stranger's making

    click.echo("Error: " + printable(text, keep="\n"), err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
