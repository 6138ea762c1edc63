"""Hypothesis strategies: small event histories in which everything collides, and the ways they can be delivered.

Few meters, customers, invoices and payments, so that moves, voids, re-versions, equal versions under different
ids, payments that only know their invoice, and ties of `assigned_at` are the rule.
"""

from typing import Any

from hypothesis import strategies as st

from tests.support.examples import CloudEvent

METERS = (1, 2, 3)
CUSTOMERS = (1, 2, 3)
ENTITIES = (1, 2, 3, 4)
VERSIONS = (1, 2, 3)
IDS = ("a", "b", "B", "ab", "é", "\U0001f600", "\uffee")
"""Their order as UTF-8 bytes is not their order in a dictionary, nor in UTF-16, nor in most collations."""
INSTANTS = ("2026-01-01T00:00:00Z", "2026-01-01T03:00:00+03:00", "2026-01-01T00:00:00.000001Z", "2026-02-01T12:00:00Z")
"""The first two are the same instant."""
AHEAD = "2099-01-01T00:00:00Z"
CLOCKS = ("2025-12-31T00:00:00Z", INSTANTS[0], INSTANTS[2], "2026-01-15T00:00:00Z", INSTANTS[3])
"""Before, at and between the dates of assignments; a clock that is moved goes from there to now."""
DAYS = ("2026-01-31", "2026-02-28", "2026-03-31")
CHARGES = ("100.00", "0.00", "-40.00", "0.01", "99999999.99")
RECEIPTS = ("100.00", "0.01", "40", "59.9", "99999999.99")


def _maybe(values: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(values)


@st.composite
def _event(
    draw: st.DrawFn, kind: str, verbs: tuple[str, ...], members: dict[str, st.SearchStrategy[Any]]
) -> CloudEvent:
    entity = kind if kind != "meter" else "assignment"
    data = {f"{entity}_id": draw(st.sampled_from(ENTITIES)), "version": draw(st.sampled_from(VERSIONS))}
    data |= {name: draw(values) for name, values in members.items()}
    return {
        "specversion": "1.0",
        "id": draw(st.sampled_from(IDS)),
        "source": "/tests",
        "type": f"billing.{kind}.{draw(st.sampled_from(verbs))}",
        "data": {name: value for name, value in data.items() if value is not None},
    }


def invoices() -> st.SearchStrategy[CloudEvent]:
    """Draw one state of one of a few invoices."""
    members = {
        "meter_id": _maybe(METERS),
        "customer_id": _maybe(CUSTOMERS),
        "amount": st.sampled_from(CHARGES),
        "balance_brought_forward": _maybe(("0.00", "5000.00")),
        "currency": st.just("KES"),
        "invoice_date": st.sampled_from(DAYS),
        "lines": _maybe(([{"type": "BALANCE", "amount": "5000.00"}, {"type": "WATER", "amount": "100.00"}],)),
    }
    return _event("invoice", ("issued", "amended", "voided"), members)


def payments() -> st.SearchStrategy[CloudEvent]:
    """Draw one state of one of a few payments; most know only their invoice, if anything."""
    members = {
        "meter_id": st.none() | _maybe(METERS),
        "customer_id": _maybe(CUSTOMERS),
        "invoice_id": _maybe(ENTITIES),
        "amount": st.sampled_from(RECEIPTS),
        "currency": st.just("KES"),
        "paid_at": st.sampled_from(INSTANTS),
        "method": _maybe(("mpesa",)),
    }
    return _event("payment", ("received", "amended", "reversed"), members)


def assignments() -> st.SearchStrategy[CloudEvent]:
    """Draw one state of one of a few assignments, often several active at once on a meter, often at one instant."""
    members = {
        "meter_id": st.sampled_from(METERS),
        "customer_id": st.sampled_from(CUSTOMERS),
        "assigned_at": st.sampled_from((*INSTANTS[:2], *INSTANTS, AHEAD)),
        "unassigned_at": st.none() | _maybe((*INSTANTS[2:], AHEAD)),
    }
    return _event("meter", ("assigned", "assigned", "unassigned"), members)


def clocks() -> st.SearchStrategy[str]:
    """Draw where the clock stands before anything arrives: most often now, behind which nothing is due."""
    return st.just("now") | st.sampled_from(CLOCKS)


def customers() -> st.SearchStrategy[CloudEvent]:
    """Draw one state of one of a few customers."""
    members: dict[str, st.SearchStrategy[Any]] = {"name": st.sampled_from(("Asha", "Brian", "Wanjikũ"))}
    return _event("customer", ("upserted",), members)


def identity(event: CloudEvent) -> tuple[str, int, int, str]:
    """Name one state: two events with the same identity have to be the same event, as CloudEvents demands of ids."""
    kind = event["type"].split(".")[1]
    entity = kind if kind != "meter" else "assignment"
    return kind, event["data"][f"{entity}_id"], event["data"]["version"], event["id"]


def histories(max_size: int = 30) -> st.SearchStrategy[list[CloudEvent]]:
    """Draw the events of a small utility, in no order."""
    one = st.one_of(invoices(), payments(), payments(), assignments(), assignments(), customers())
    return st.lists(one, min_size=1, max_size=max_size, unique_by=identity)


@st.composite
def deliveries(draw: st.DrawFn, history: list[CloudEvent]) -> list[list[CloudEvent]]:
    """Draw one way the history may arrive: in any order, some of it repeated, cut into batches anywhere."""
    repeated = draw(st.lists(st.sampled_from(history), max_size=len(history)))
    stream = draw(st.permutations(history + repeated))
    cuts = sorted(draw(st.sets(st.integers(1, len(stream)), max_size=6)) | {len(stream)})
    starts = [0, *cuts[:-1]]
    return [stream[start:end] for start, end in zip(starts, cuts, strict=True)]
