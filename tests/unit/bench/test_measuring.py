"""What the benchmark computes from what it saw."""

import pytest

from tests.bench.latency import Seen, Sent, rank, waits_of
from tests.bench.plan import Measurement, chosen


def test_a_part_is_measured_with_what_it_needs() -> None:
    assert chosen([]) == frozenset(Measurement)
    assert chosen([Measurement.LATENCY]) == {Measurement.LATENCY, Measurement.PROJECTOR}
    assert chosen([Measurement.ONE_BY_ONE]) == {Measurement.ONE_BY_ONE}


def test_an_event_is_visible_with_the_first_position_beyond_it() -> None:
    place = ("billing.invoices", 0)
    seen = {place: [Seen(5, 10.0), Seen(7, 11.0), Seen(9, 12.0)]}
    sent = [Sent(place, offset, 9.5) for offset in (5, 6, 7, 8)]
    assert list(waits_of(sent, seen)) == [1.5, 1.5, 2.5, 2.5]


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 2.0), (0.75, 3.0), (0.99, 4.0), (1.0, 4.0)])
def test_a_rank_is_a_value_that_was_measured(share: float, value: float) -> None:
    assert rank([1.0, 2.0, 3.0, 4.0], share) == value
