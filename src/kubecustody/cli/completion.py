"""`kubecustody completion`: what makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

_PROGRAM = "kubecustody"
_VARIABLE = "_KUBECUSTODY_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands and options.

    \b
    bash:  kubecustody completion bash > ~/.local/share/bash-completion/completions/kubecustody
    zsh:   kubecustody completion zsh > ~/.zfunc/_kubecustody      (a folder of fpath)
    fish:  kubecustody completion fish > ~/.config/fish/completions/kubecustody.fish
    """
    make = get_completion_class(shell)
    assert make is not None, shell
    # Not source(): it would run bash to look at its version.
    script = make(context.find_root().command, {}, _PROGRAM, _VARIABLE)
    click.echo(script.source_template % script.source_vars())
