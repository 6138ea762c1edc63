"""Steps while events arrive: rows are changed by hand, found with their cause, and repaired."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection

from projector.demo import damage, figures
from projector.demo.damage import Damage, Injection
from projector.demo.shell import Background, Command, Shell
from projector.demo.steps import AS_JSON, CHECK, TRAFFIC, await_applied

YEAR: Final[Command] = (*TRAFFIC, "--months", "12")
PER_SECOND: Final = 300  # with the ten months after the first two, the flow lasts longer than the checks
PUBLISH_FLOW: Final[Command] = ("events", "publish", "-", *AS_JSON)
REBUILD: Final[Command] = ("backfill", "rebuild", *AS_JSON)
FOUND_DRIFT: Final = 1  # the exit code of a check


def damaged_and_repaired(shell: Shell, connection: Connection[Any], running: Background, sound: int) -> int:
    """Publish ten more months; change, find and repair rows meanwhile; return the number of events published."""
    lines = _following(shell, sound)
    with shell.flow(lines, *PUBLISH_FLOW, per_second=PER_SECOND) as flow:
        await_applied(shell, connection, running, figures.applied(connection) + PER_SECOND)
        done = damage.inflict(connection, _moving(lines))
        shell.narrator.say(
            f"Changed by hand meanwhile: {'; '.join(dict.fromkeys(one.done for one in done.injections))}."
        )
        _found(shell, connection, done)
        _repaired(shell, connection)
        _clean(shell, connection)
        shell.narrator.require(running.process.poll() is None, f"the consumer ended: {running.complaint}")
        published = flow.stop()
    shell.narrator.require(published.exit_code == 0, f"the flow ended: {published.complaint}")
    return int(published.document["published"])


def _following(shell: Shell, sound: int) -> Sequence[bytes]:
    """Begin the step, and simulate the months after those that were published."""
    shell.narrator.step("Damage by hand, while ten more months flow")
    shell.narrator.typed(" ".join(YEAR) + f" | tail -n +{sound + 1} | {' '.join(PUBLISH_FLOW)} &")
    lines = shell.run(YEAR).stdout.splitlines(keepends=True)[sound:]
    shell.narrator.say(f"{len(lines):,} events are sent, {PER_SECOND} a second.", per_second=PER_SECOND)
    return lines


def _moving(lines: Sequence[bytes]) -> list[int]:
    """List the meters whose customer will change: the stream itself would correct or alter damage there."""
    return [json.loads(line)["data"]["meter_id"] for line in lines if b'"type":"billing.meter.' in line]


def _found(shell: Shell, connection: Connection[Any], done: Damage) -> None:
    shell.narrator.step("The drift check names what was changed")
    before = figures.applied(connection)
    checked = shell.type(CHECK, expect=FOUND_DRIFT).document
    meanwhile = figures.applied(connection) - before
    rows = [_row(shell, injection, checked["findings"]) for injection in done.injections]
    shell.narrator.table(["Changed by hand", "Found", "Expected - recorded>", "Cause", "Rows named"], rows)
    shell.narrator.require(done.explains(checked["findings"]), "the findings are not those of the damage")
    shell.narrator.require(meanwhile > 0, "no event was applied meanwhile")
    shell.narrator.say(
        f"Exactly these {checked['drifted_meters']} meters, and the {checked['drifted_customers']} customers "
        f"affected, among {checked['customers']:,} customers; {meanwhile:,} events were applied meanwhile.",
        drifted_meters=checked["drifted_meters"], drifted_customers=checked["drifted_customers"],
        applied_meanwhile=meanwhile,
    )  # fmt: skip


def _row(shell: Shell, injection: Injection, findings: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    finding = injection.found_in(findings) or {}
    shell.narrator.require(finding, f"not found: {injection.done} ({injection.cause})")
    moved = "" if finding["difference"] is None else f"{Decimal(finding['difference']):+,}"
    ids = ", ".join(map(str, damage.named(finding["evidence"])))
    return injection.done, f"{injection.entity} {injection.entity_id} {injection.column}", moved, finding["cause"], ids


def _repaired(shell: Shell, connection: Connection[Any]) -> None:
    shell.narrator.step("Repair while the consumer runs")
    before = figures.applied(connection)
    run = shell.type(REBUILD).document
    meanwhile = figures.applied(connection) - before
    whole = run["repaired"] == run["drifted"] > 0 and not run["unrepaired"] and not run["failed"]
    shell.narrator.require(whole, f"of {run['drifted']} rows {run['repaired']} were repaired")
    shell.narrator.require(meanwhile > 0, "no event was applied meanwhile")
    shell.narrator.say(
        f"{run['drifted_meters']} meters and {run['drifted_customers']} customers are set to what history says, and "
        f"compared again; the same consumer applied {meanwhile:,} events meanwhile.",
        repaired=run["repaired"], applied_meanwhile=meanwhile,
    )  # fmt: skip


def _clean(shell: Shell, connection: Connection[Any]) -> None:
    shell.narrator.step("A clean check while events arrive")
    before = figures.applied(connection)
    checked = shell.type(CHECK).document
    meanwhile = figures.applied(connection) - before
    shell.narrator.require(checked["drifted"] == 0, "the check saw drift")
    shell.narrator.require(meanwhile > 0, "no event was applied meanwhile")
    shell.narrator.say(
        f"No drift among {checked['customers']:,} customers and {checked['meters']:,} meters; {meanwhile:,} events "
        "were applied meanwhile.",
        drifted=checked["drifted"], applied_meanwhile=meanwhile,
    )  # fmt: skip
