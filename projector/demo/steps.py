"""The steps in order: the commands, the conditions that are verified after them, and the sentence that is printed."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from psycopg import Connection

from projector.demo import figures
from projector.demo.shell import Background, Command, Shell, end
from projector.sandbox.jars import KAFKA_VERSION
from projector.sandbox.processes import wait_until

CUSTOMERS: Final = 500  # each with two meters
WAIT_SECONDS: Final = 60.0
AS_JSON: Final = ("--format", "json")
TRAFFIC: Final[Command] = ("events", "simulate", "--seed", "1", "--customers", str(CUSTOMERS))
TWO_MONTHS: Final[Command] = (*TRAFFIC, "--months", "2")
PUBLISH: Final[Command] = ("events", "publish", "-", *AS_JSON)
CHECK: Final[Command] = ("backfill", "drift-check", *AS_JSON)
STATUS: Final[Command] = ("projector", "status", *AS_JSON)


def services(shell: Shell, connection: Connection[Any], seconds: float) -> None:
    """Print what was started."""
    postgres = connection.info.parameter_status("server_version")
    shell.narrator.say(
        f"PostgreSQL {postgres} and Apache Kafka {KAFKA_VERSION} run on loopback, started in {seconds:.1f} s.",
        postgres=postgres, kafka=KAFKA_VERSION, seconds=round(seconds, 1),
    )  # fmt: skip


def schema(shell: Shell) -> None:
    """Create the schema and the topics."""
    shell.narrator.step("Schema and topics")
    created = shell.type(("projector", "init", *AS_JSON)).document
    topics = created["topics_created"]
    shell.narrator.require(len(topics) == 4, f"init created the topics {topics}")  # noqa: PLR2004 - the contract's
    shell.narrator.say(
        f"Schema {created['schema']} exists, and so do the topics {', '.join(sorted(topics))}.", **created
    )


@contextmanager
def consumer(shell: Shell) -> Iterator[Background]:
    """Start the projector in the background."""
    shell.narrator.step("A consumer")
    with shell.background("projector", "run") as running:
        _await(shell, running, lambda: bool(running.records("joined")), "the consumer did not join its group")
        joined = running.records("joined")[0]
        shell.narrator.say(
            f"It has joined group {joined['group']} and starts at the beginning of {joined['partitions']} partitions.",
            partitions=joined["partitions"],
        )
        yield running


def two_months(shell: Shell, connection: Connection[Any], running: Background) -> int:
    """Publish two months of a utility; return the number of events."""
    shell.narrator.step("Two months of a utility")
    published = int(shell.type(TWO_MONTHS, PUBLISH).document["published"])
    since = time.monotonic()
    await_applied(shell, connection, running, published)
    totals = figures.one(connection, "totals")
    batches = running.records("batch")
    shell.narrator.say(
        f"{published:,} events are applied, {time.monotonic() - since:.1f} s after the last was published, in "
        f"{len(batches)} transactions: {totals.customers:,} customers, {totals.meters:,} meters, {totals.invoices:,} "
        f"invoices over KES {totals.billed:,}, {totals.payments:,} payments over KES {totals.paid:,}. Customers owe "
        f"KES {totals.balance:,} and have overpaid KES {totals.overpayment:,}.",
        published=published, **{name: str(value) for name, value in totals._asdict().items()},
    )  # fmt: skip
    checked = shell.type(CHECK).document
    shell.narrator.require(checked["drifted"] == 0 and checked["customers"] == CUSTOMERS, "the check found drift")
    shell.narrator.say(
        f"Recomputed from history, all {checked['customers']:,} customers and {checked['meters']:,} meters agree to "
        f"the cent ({checked['seconds']:.2f} s).",
        drifted=checked["drifted"],
    )
    return published


def one_customer(shell: Shell, connection: Connection[Any]) -> None:
    """Add up one customer's invoices and payments."""
    shell.narrator.step("One customer")
    shown = figures.customer_to_show(connection)
    shell.narrator.table(
        ["Meter>", "Day", "Entry", "Billed>", "Paid>"],
        [
            (
                entry.meter_id, entry.day, f"{entry.kind} {entry.entry_id}",
                f"{entry.billed:,}" if entry.billed else "", f"{entry.paid:,}" if entry.paid else "",
            )
            for entry in shown.entries
        ],
    )  # fmt: skip
    owed = {meter: amount for meter, amount in shown.meters.items() if amount > 0}
    over = {meter: -amount for meter, amount in shown.meters.items() if amount < 0}
    sums = sum(owed.values(), Decimal(0)), sum(over.values(), Decimal(0))
    shell.narrator.require(sums == (shown.balance, shown.overpayment), f"its entries add up to {sums}")
    shell.narrator.say(
        f"{shown.name}, customer {shown.customer_id}: {_listed('owes', owed)} and {_listed('has overpaid', over)}. "
        f"customer_balances says balance KES {shown.balance:,}, overpayment KES {shown.overpayment:,}: one meter's "
        "overpayment never pays another's bill.",
        customer_id=shown.customer_id, balance=str(shown.balance), overpayment=str(shown.overpayment),
    )  # fmt: skip


def once_more(shell: Shell, connection: Connection[Any], running: Background, sent: int) -> int:
    """Publish all of it again, shuffled and with duplicates; return the total number of messages."""
    shell.narrator.step("Everything again, shuffled and with duplicates")
    before = figures.one(connection, "fingerprint").md5
    noise = ("--shuffle", "100%", "--duplicates", "30%")
    again = int(shell.type((*TWO_MONTHS, *noise), PUBLISH).document["published"])
    await_applied(shell, connection, running, sent + again)
    after = figures.one(connection, "fingerprint").md5
    shell.narrator.require(before == after, "a balance changed")
    shell.narrator.say(
        f"{again:,} messages later nothing has changed: both tables still have the checksum {after[:12]}.",
        published=again, checksum=after,
    )  # fmt: skip
    return sent + again


def poison(shell: Shell, connection: Connection[Any], running: Background, sent: int, sound: int) -> int:
    """Send broken events among the same valid ones; return the total number of messages."""
    shell.narrator.step("Broken events")
    before = figures.one(connection, "fingerprint").md5
    poisoned = (*TWO_MONTHS, "--poison", "1%", "--publish", *AS_JSON)
    published = int(shell.type(poisoned).document["published"])
    broken = published - sound
    await_applied(shell, connection, running, sent + published)
    letters = shell.type(STATUS).document["dead_letters"]
    kept = sum(letter["open"] for letter in letters)
    shell.narrator.require(kept == broken, f"of {broken} broken events {kept} are dead letters")
    shell.narrator.require(before == figures.one(connection, "fingerprint").md5, "a balance changed")
    reasons = ", ".join(f"{letter['open']} {letter['reason']}" for letter in letters)
    shell.narrator.say(
        f"Each of the {broken} broken events among {published:,} is a dead letter with its reason and its bytes "
        f"({reasons}). The consumer continued, and no balance changed.",
        broken=broken, dead_letters={letter["reason"]: letter["open"] for letter in letters},
    )  # fmt: skip
    return sent + published


def drain(shell: Shell, connection: Connection[Any], running: Background, sent: int) -> None:
    """Stop the consumer with SIGTERM, and check again."""
    shell.narrator.step("SIGTERM")
    shell.narrator.typed("kill -TERM %1")
    code = end(running.process)
    shell.narrator.require(code == 0, f"the consumer exited with {code}: {running.complaint}")
    applied = figures.applied(connection)
    shell.narrator.require(applied == sent, f"of {sent} messages {applied} are applied")
    checked = shell.type(CHECK).document
    shell.narrator.require(checked["drifted"] == 0, "the check found drift")
    shell.narrator.say(
        f"It drained and exited with 0; all {applied:,} messages are applied, and the check finds no drift.",
        applied=applied,
    )


def await_applied(shell: Shell, connection: Connection[Any], running: Background, messages: int) -> None:
    """Wait until this number of messages is applied."""
    _await(shell, running, lambda: figures.applied(connection) >= messages, f"{messages} messages are not applied")


def _await(shell: Shell, running: Background, condition: Callable[[], bool], otherwise: str) -> None:
    """Wait for a condition while the consumer runs."""
    ended = running.process.poll
    wait_until(lambda: condition() or ended() is not None, seconds=WAIT_SECONDS)
    shell.narrator.require(ended() is None, f"the consumer ended: {running.complaint}")
    shell.narrator.require(condition(), otherwise)


def _listed(what: str, amounts: dict[int, Decimal]) -> str:
    return f"{what} " + ", ".join(f"KES {amount:,} for meter {meter}" for meter, amount in sorted(amounts.items()))
