"""The published schemas describe what is accepted."""

from events.contract.schema import DIALECT, schemas
from events.contract.types import TYPES
from tests.support import examples
from tests.unit.events.json_schema import conforms


def test_every_type_has_a_schema_of_its_own_name() -> None:
    described = schemas()
    assert list(described) == list(TYPES)
    for name, each in described.items():
        assert each["$schema"] == DIALECT
        assert each["properties"]["type"] == {"const": name}


def test_money_and_ids_are_bounded_in_the_schema_too() -> None:
    assert conforms(examples.invoice(1, 2, "-5.00"))
    assert not conforms(examples.invoice(1, 2, "5.001"))
    assert not conforms(examples.invoice(2**63, 2, "5.00"))
    assert conforms(examples.payment(1, "0.01"))
    assert not conforms(examples.payment(1, "0.00"))
    assert not conforms(examples.payment(1, "1.00", paid_at="2026-01-31T08:00:00"))
