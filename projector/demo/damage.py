"""Rows that are changed by hand while events arrive, and the finding that the drift check has to report for each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from psycopg import Connection

from projector.demo.figures import DEMO

EDITED: Final = Decimal("1000.00")
REWRITTEN: Final = Decimal("500.00")
VICTIMS: Final = 8


class Victim(NamedTuple):
    """A meter with its customer, and an invoice and a payment that count for it."""

    meter_id: int
    customer_id: int
    invoice_id: int
    payment_id: int


@dataclass(frozen=True, kw_only=True)
class Injection:
    """A change by hand, and the finding that it has to cause; `difference` is expected minus recorded."""

    done: str
    entity: str
    entity_id: int
    column: str
    cause: str
    difference: Decimal | None = None
    ids: tuple[int, ...] = ()

    def found_in(self, findings: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
        """Return the finding with the same column, cause and difference that names the changed rows as evidence."""
        for finding in findings:
            place = (finding["entity"], finding["entity_id"], finding["column"])
            if place == (self.entity, self.entity_id, self.column) and self._explains(finding):
                return finding
        return None

    def _explains(self, finding: dict[str, Any]) -> bool:
        moved = None if finding["difference"] is None else Decimal(finding["difference"])
        return (
            finding["cause"] == self.cause
            and self.difference in {None, moved}
            and set(self.ids) <= set(named(finding["evidence"]))
        )


@dataclass(frozen=True, kw_only=True)
class Damage:
    """All changes, and the meters and customers that must, or may, differ because of them."""

    injections: Sequence[Injection]
    meters: frozenset[int]
    customers: frozenset[int]
    perhaps: frozenset[int]  # the error of an edited meter row spreads if a payment changes the sign of its balance

    def explains(self, findings: Iterable[dict[str, Any]]) -> bool:
        """Tell whether the findings are exactly those of the damage."""
        found = {(finding["entity"], finding["entity_id"]) for finding in findings}
        must = {("meter", key) for key in self.meters} | {("customer", key) for key in self.customers}
        return must <= found <= must | {("customer", key) for key in self.perhaps}


def inflict(connection: Connection[Any], moving: Sequence[int]) -> Damage:
    """Change rows by hand, each meter and customer in one way; meters in `moving` are about to change customer."""
    chosen = connection.execute(DEMO["choose_victims"], {"moving": list(moving), "count": VICTIMS})
    edited, rewritten, source, target, lost, given, new_owner, raised = (Victim(*row) for row in chosen)
    injections = [
        _edit_meter(connection, edited),
        _edit_invoice(connection, rewritten),
        *_move_invoice(connection, source, target),
        _delete_payment(connection, lost),
        _reassign(connection, given, new_owner),
        _edit_customer(connection, raised),
    ]
    meters = (edited, rewritten, source, target, lost, given)
    return Damage(
        injections=injections,
        meters=frozenset(victim.meter_id for victim in meters),
        customers=frozenset(victim.customer_id for victim in (*meters[1:], new_owner, raised)),
        perhaps=frozenset({edited.customer_id}),
    )


def named(evidence: dict[str, Any]) -> list[int]:
    """List the ids of history rows that a finding names."""
    history = [row_id for part in evidence.get("history", ()) for row_id in part["ids"]]
    return [*history, *evidence.get("assignments", ())]


def _edit_meter(connection: Connection[Any], victim: Victim) -> Injection:
    connection.execute(DEMO["edit_meter"], {"amount": EDITED, "meter_id": victim.meter_id})
    return Injection(
        done=f"total billed of meter {victim.meter_id} raised by {EDITED:,}",
        entity="meter", entity_id=victim.meter_id, column="total_billed",
        cause="projection-edited", difference=-EDITED,
    )  # fmt: skip


def _edit_invoice(connection: Connection[Any], victim: Victim) -> Injection:
    connection.execute(DEMO["edit_invoice"], {"amount": REWRITTEN, "invoice_id": victim.invoice_id})
    return Injection(
        done=f"invoice {victim.invoice_id} in history raised by {REWRITTEN:,}",
        entity="meter", entity_id=victim.meter_id, column="total_billed",
        cause="history-changed", difference=REWRITTEN, ids=(victim.invoice_id,),
    )  # fmt: skip


def _move_invoice(connection: Connection[Any], source: Victim, target: Victim) -> Iterable[Injection]:
    where = {"invoice_id": source.invoice_id, "meter_id": target.meter_id}
    (amount,) = connection.execute(DEMO["move_invoice"], where).fetchone() or (Decimal(0),)
    for victim, difference in ((source, -amount), (target, amount)):
        yield Injection(
            done=f"invoice {source.invoice_id} moved from meter {source.meter_id} to {target.meter_id}",
            entity="meter", entity_id=victim.meter_id, column="total_billed",
            cause="history-moved", difference=difference, ids=(source.invoice_id,),
        )  # fmt: skip


def _delete_payment(connection: Connection[Any], victim: Victim) -> Injection:
    where = {"payment_id": victim.payment_id}
    (amount,) = connection.execute(DEMO["delete_payment"], where).fetchone() or (Decimal(0),)
    return Injection(
        done=f"payment {victim.payment_id} of {amount:,} deleted from history",
        entity="meter", entity_id=victim.meter_id, column="total_paid",
        cause="history-deleted", difference=-amount,
    )  # fmt: skip


def _reassign(connection: Connection[Any], victim: Victim, new_owner: Victim) -> Injection:
    where = {"meter_id": victim.meter_id, "customer_id": new_owner.customer_id}
    (assignment_id,) = connection.execute(DEMO["reassign_meter"], where).fetchone() or (0,)
    return Injection(
        done=f"assignment {assignment_id} of meter {victim.meter_id} given to customer {new_owner.customer_id}",
        entity="meter", entity_id=victim.meter_id, column="customer_id",
        cause="assignment-edited", ids=(assignment_id,),
    )  # fmt: skip


def _edit_customer(connection: Connection[Any], victim: Victim) -> Injection:
    connection.execute(DEMO["edit_customer"], {"amount": EDITED, "customer_id": victim.customer_id})
    return Injection(
        done=f"balance of customer {victim.customer_id} raised by {EDITED:,}",
        entity="customer", entity_id=victim.customer_id, column="balance",
        cause="customer-sum-off", difference=-EDITED,
    )  # fmt: skip
