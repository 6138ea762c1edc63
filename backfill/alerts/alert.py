"""The content of an alert. Pure.

An alert is stored, and sent to programs, as a document: plain JSON values. People get a title and a few lines of text.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from backfill.reports.money import money
from backfill.runs.drift import HISTORY_EDITED
from events.runtime.console import printable
from events.runtime.wording import counted

State = Literal["raised", "changed", "resolved"]
CHECKER_FAILED: Final = "checker-failed"
COVERAGE_BEHIND: Final = "coverage-behind"
OF_THE_CHECKER: Final = frozenset({CHECKER_FAILED, COVERAGE_BEHIND})
"""Causes that are not drift."""

DETAIL_MAX: Final = 500  # characters of a reason; the log has the whole reason
LOOKALIKES: Final = str.maketrans({"<": "‹", ">": "›", "@": "＠", "`": "ˋ", "*": "∗", "_": "＿", "[": "［", "]": "］"})  # noqa: RUF001 - they look alike on purpose
"""Characters that chat services take for a mention, a link or markup, and what replaces them."""
NAME_DOT: Final = re.compile(r"(?<=[\w-])\.(?=[^\W\d])")
"""The dot by which some of them make a link of a bare name such as example.org."""

ENDED: Final[Mapping[str, str]] = {
    CHECKER_FAILED: "A check has succeeded again. Before",
    COVERAGE_BEHIND: "Everything has been compared within the promised time again. Before",
}
"""What a resolved alert of the checker says in front of the text that was raised."""

TITLES: Final[Mapping[State, str]] = {"raised": "found", "changed": "changed", "resolved": "resolved"}


@dataclass(frozen=True, kw_only=True)
class Found:
    """The current state of one cause; `digest` tells whether it is still the same."""

    cause: str
    digest: str
    amount: Decimal | None = None
    meters: int = 0
    customers: int = 0
    findings: int = 0
    first_meters: Sequence[int] = ()
    first_customers: Sequence[int] = ()
    detail: str = ""


class Deployment(NamedTuple):
    """What an alert is about: one address may take those of several deployments.

    Args:
        database: host, port and name.
        schema: its schema.
        consumer_group: whose positions the schema holds.
        currency: of its amounts.

    """

    database: str
    schema: str
    consumer_group: str
    currency: str


class Alert(NamedTuple):
    """One message about one cause."""

    cause: str
    state: State
    digest: str
    run_id: UUID | None
    document: dict[str, Any]


def compose(  # noqa: PLR0913 - an alert's own members
    found: Found, state: State, *, run_id: UUID | None, whole: bool, deployment: Deployment, at: datetime
) -> Alert:
    """Write an alert; `whole` where the run that found it compared everything."""
    ended = f"{ENDED[found.cause]}: " if state == "resolved" and found.cause in ENDED else ""
    document = {
        "alert": found.cause,
        "state": state,
        "run_id": run_id and str(run_id),
        "whole_run": whole,
        **deployment._asdict(),
        "amount": None if found.amount is None else str(found.amount),
        "meters": found.meters,
        "customers": found.customers,
        "findings": found.findings,
        "first_meters": list(found.first_meters),
        "first_customers": list(found.first_customers),
        "detail": printable(f"{ended}{found.detail}").replace("\n", " ")[:DETAIL_MAX],
        "suggested_command": suggested_command(found),
        "at": at.isoformat(),
    }
    return Alert(found.cause, state, found.digest, run_id, document)


def suggested_command(found: Found) -> str:
    """Return the command that shows details."""
    if found.cause in OF_THE_CHECKER:
        return "backfill runs"
    if found.cause in HISTORY_EDITED:
        return "backfill verify-log"
    if found.first_meters:
        return f"backfill explain --meter {found.first_meters[0]}"
    if found.first_customers:
        return f"backfill explain --customer {found.first_customers[0]}"
    return "backfill rebuild --dry-run"


def digest(*parts: object) -> str:
    """Return a digest that tells whether something is still the same, without revealing it."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def title(document: Mapping[str, Any]) -> str:
    """Return an alert's title."""
    kind = "Drift check" if document["alert"] in OF_THE_CHECKER else "Drift"
    return f"{kind}: {document['alert']} {TITLES[document['state']]}"


def body(document: Mapping[str, Any]) -> str:
    """Return an alert as plain text in which nothing is a mention, a link or markup."""
    return "\n".join(line for line in _lines(document) if line)


def line(document: Mapping[str, Any]) -> str:
    """Return an alert as one line of ASCII JSON, which no terminal can take for control sequences."""
    return json.dumps(document, ensure_ascii=True)


def _lines(document: Mapping[str, Any]) -> list[str]:
    state, run = document["state"], document["run_id"]
    lines = [_deployment(document)]
    if document["amount"] is not None:
        kinds = (("meters", "meter"), ("customers", "customer"))
        counts = " and ".join(counted(document[name], noun) for name, noun in kinds if document[name])
        amount = money(Decimal(document["amount"]), document["currency"])
        more = "" if document["whole_run"] else " so far"
        lines.append(f"{'It was' if state == 'resolved' else 'Off by'} {amount} in all{more}, on {counts}.")
        lines.append(_first("Meters", document["first_meters"], document["meters"]))
        lines.append(_first("Customers", document["first_customers"], document["customers"]))
    lines.append(inert(document["detail"]))
    lines.append(f"Run: {run}" if run else "")
    lines.append("" if state == "resolved" else f"For details: {document['suggested_command']}")
    return lines


def _deployment(document: Mapping[str, Any]) -> str:
    """Name the deployment; an alert that an earlier version stored does not."""
    if "database" not in document:
        return ""
    database, schema, group = (inert(document[name]) for name in ("database", "schema", "consumer_group"))
    return f"Database {database}, schema {schema}, consumer group {group}"


def _first(name: str, ids: Sequence[int], count: int) -> str:
    if not ids:
        return ""
    return f"{name}: {', '.join(map(str, ids))}{', ...' if count > len(ids) else ''}"


def inert(text: str) -> str:
    """Replace what a chat service would act on: a link loses its colon, and a bare name its dot."""
    return NAME_DOT.sub("\u2024", printable(text).translate(LOOKALIKES).replace("://", ": //"))
