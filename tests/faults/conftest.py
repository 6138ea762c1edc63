"""Servers of this suite's own, one set for all its runs."""

from collections.abc import Iterator

import pytest

from tests.faults import servers as servers_module
from tests.faults.nursery import Nursery
from tests.faults.servers import Servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with servers_module.started() as found:
        yield found


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()
