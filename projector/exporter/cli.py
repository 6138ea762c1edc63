"""`projector metrics` and `projector health`."""

from pathlib import Path
from typing import Annotated

import typer

from events.runtime import console
from events.runtime.console import Format, FormatOption
from events.runtime.errors import InputError


def health(
    ready: Annotated[bool, typer.Option("--ready", help="ask whether it works, not only whether it lives")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Ask the program that serves at PROJECTOR_METRICS_ADDRESS whether it is alive, for a container's health check.

    It is alive while its loop comes round, also while a service is away; it is ready when it does its work.

    Exit code 0: yes. 1: no. 2: nobody answers.
    """
    from projector.metrics.health import ask

    yes, facts = ask(ready=ready)
    if form is Format.JSON:
        console.print_json(facts)
    else:
        console.say(", ".join(f"{name.replace('_', ' ')}: {_plain(fact)}" for name, fact in facts.items()))
    raise typer.Exit(0 if yes else 1)


def _plain(fact: object) -> object:
    return {True: "yes", False: "no"}[fact] if isinstance(fact, bool) else fact


def metrics(
    listen: Annotated[bool, typer.Option("--listen", help="serve them at PROJECTOR_METRICS_ADDRESS")] = False,
    textfile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="write them into a file, for a node exporter's textfile collector"),
    ] = None,
) -> None:
    """Print what PostgreSQL and Kafka know of this deployment as metrics for Prometheus.

    One service with --listen for each deployment; `projector run` has metrics of its own at that setting's address.

    Exit code 0: printed, or stopped by a signal. 2: a service is unavailable, or could not start.
    """
    from projector.exporter.command import metrics as metrics_

    if listen and textfile:
        raise InputError("--listen and --textfile cannot be combined: choose one")
    metrics_(listen=listen, textfile=textfile)
