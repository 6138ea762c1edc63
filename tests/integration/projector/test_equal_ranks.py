"""Two events of one version and one id are settled by where they stand, not by which of them comes first."""

from typing import Final

import pytest
from sqlalchemy import Engine

from tests.support.examples import CloudEvent, assigned, customer, invoice, payment
from tests.support.merge_harness import MergeHarness, disagreement

PAIRS: Final = {
    "invoices": (invoice(1, 7, "1.00"), invoice(1, 8, "2.00")),
    "payments": (payment(1, "1.00", meter_id=7), payment(1, "2.00", meter_id=8)),
    "assignments": (assigned(1, 7, 5), assigned(1, 7, 6)),
    "customers": (customer(1, "Asha"), customer(1, "Brian")),
}


@pytest.mark.parametrize("sooner_first", [True, False])
@pytest.mark.parametrize("entity", PAIRS)
def test_the_sooner_partition_wins_in_either_order_of_arrival(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], entity: str, *, sooner_first: bool
) -> None:
    sooner, later = PAIRS[entity]
    arrivals: list[tuple[MergeHarness, CloudEvent]] = [(harnesses[0], sooner), (harnesses[1], later)]
    done = [harness.apply([event]) for harness, event in (arrivals if sooner_first else reversed(arrivals))]
    assert [each.conflicts for each in done] == [0, 1]
    assert [each.applied for each in done] == [1, 0 if sooner_first else 1]
    assert not disagreement(engine, [sooner])


@pytest.mark.parametrize("entity", PAIRS)
def test_the_sooner_offset_wins_in_one_batch_and_in_two(
    engine: Engine, harnesses: tuple[MergeHarness, MergeHarness], entity: str
) -> None:
    sooner, later = PAIRS[entity]
    assert harnesses[0].apply([sooner, later]).conflicts == 1
    assert not disagreement(engine, [sooner])
    assert harnesses[1].apply([later]).conflicts == 1
    assert not disagreement(engine, [sooner])
