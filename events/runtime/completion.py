"""Completion of commands and options in bash, zsh and fish, as typer has it.

A shell's script calls the program again, with a variable that says what to complete.
"""

from enum import StrEnum

import typer


class Shell(StrEnum):
    """The shells for which a script can be printed."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def variable(program: str) -> str:
    """Name the variable in which a shell says what it asks for."""
    return f"_{program.upper()}_COMPLETE"


def answer(program: str, app: typer.Typer, instruction: str) -> int:
    """Print what a shell asks for: `source_bash` a script, `complete_bash` how a line goes on; return the exit code."""
    from typer.completion import get_completion_inspect_parameters, shell_complete  # noqa: PLC0415 - loads what only a shell needs

    get_completion_inspect_parameters()  # makes the shells known
    return shell_complete(typer.main.get_command(app), {}, program, variable(program), instruction)
