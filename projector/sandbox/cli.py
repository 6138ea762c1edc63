"""`projector sandbox up|down|env`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from events.runtime import console
from events.runtime.console import Format, FormatOption
from projector.sandbox.extra import require_extra

if TYPE_CHECKING:
    from projector.sandbox.sandbox import Sandbox

app = console.app("Local PostgreSQL and Apache Kafka on loopback, without Docker.")

DirOption = Annotated[
    Path | None, typer.Option("--dir", help="folder of the data; by default in the user's cache", show_default=False)
]


@app.command()
def up(directory: DirOption = None, form: FormatOption = Format.TABLE) -> None:
    """Start both servers, as far as they do not run, and print their addresses."""
    sandbox = _sandbox(directory)
    environment = sandbox.up(console.say_on_stderr)
    if form is Format.JSON:
        console.print_json({"folder": str(sandbox.folder), "environment": environment})
        return
    rows = [
        ("PostgreSQL", environment["PROJECTOR_DATABASE_URL"].rpartition("@")[2], sandbox.postgres.log),
        ("Apache Kafka", environment["PROJECTOR_KAFKA_BOOTSTRAP_SERVERS"], sandbox.kafka.log),
    ]
    console.print_table("", ["Service", "Address", "Log"], rows)
    if activate := console.activation():
        console.say_whole(f"To have the programs on the PATH: . {activate}")
    console.say_whole(
        f'To use them in this shell: eval "$({console.as_typed("projector")} sandbox env{_option(directory)})"'
    )


@app.command()
def down(
    directory: DirOption = None,
    form: FormatOption = Format.TABLE,
    delete: Annotated[bool, typer.Option("--delete", help="also delete the data")] = False,
) -> None:
    """Stop both servers, as far as they run; keep the data unless --delete is given."""
    sandbox = _sandbox(directory)
    had_data = sandbox.has_data
    stopped = sandbox.down(delete=delete)
    if form is Format.JSON:
        console.print_json({"folder": str(sandbox.folder), "stopped": stopped, "deleted": delete and had_data})
        return
    ended = f"stopped {' and '.join(stopped)}" if stopped else "nothing was running"
    kept = f"the data in {sandbox.folder} is {'deleted' if delete else 'kept'}"
    console.say(f"{ended}; {kept if had_data else f'there is no data in {sandbox.folder}'}")


@app.command()
def env(directory: DirOption = None, form: FormatOption = Format.TABLE) -> None:
    """Print the variables that connect the programs to the sandbox, for a shell's `eval`."""
    environment = _sandbox(directory).environment
    if form is Format.JSON:
        console.print_json(environment)
    else:
        sys.stdout.write(f"export {' '.join(f'{name}={shlex.quote(value)}' for name, value in environment.items())}\n")


def _sandbox(directory: Path | None) -> "Sandbox":
    require_extra()
    from projector.sandbox import sandbox

    return sandbox.at(directory)


def _option(directory: Path | None) -> str:
    return f" --dir {shlex.quote(str(directory))}" if directory else ""
