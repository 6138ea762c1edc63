"""Whatever goes wrong beside and beneath them, consumers end in the oracle's state and auditors find nothing.

    make test-faults                     forty runs from a random seed
    FAULT_RUNS=500 make test-faults      so many
    FAULT_SEED=17 make test-faults       that one

Every `make test` has a few fixed seeds.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import TAIL
from tests.faults import injections
from tests.faults.fault_run import FaultRun
from tests.faults.plan import KINDS, Plan, plan
from tests.faults.run_faults import judge, run_faults, settle
from tests.faults.servers import Servers
from tests.support.programs import Programs

ALWAYS: Final = (1, 2, 3, 4, 5)
"""Seeds that every run of the tests has."""


def seeds() -> list[int]:
    """Choose the seeds: the one asked for, as many new ones as asked for, or those that are always run."""
    if one := os.environ.get("FAULT_SEED"):
        return [int(one)]
    runs = int(os.environ.get("FAULT_RUNS", "0"))
    first = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")).randrange(10**6)  # the same in each worker
    return [first + number for number in range(runs)] or list(ALWAYS)


@pytest.mark.parametrize("seed", seeds())
def test_nothing_is_lost_doubled_or_invented(servers: Servers, programs: Programs, tmp_path: Path, seed: int) -> None:
    drawn = plan(seed)
    fault_run = FaultRun(drawn, servers, programs, tmp_path)
    with _told(drawn, fault_run):
        run_faults(fault_run)
        settle(fault_run)
        judge(fault_run)
    fault_run.close()


def test_a_seed_is_a_plan_and_every_kind_comes_up() -> None:
    assert str(plan(7)) == str(plan(7)) != str(plan(8))
    drawn = {fault.kind for seed in range(300) for fault in plan(seed).faults}
    assert drawn == KINDS.keys() == injections.KINDS.keys()


@contextmanager
def _told(drawn: Plan, fault_run: FaultRun) -> Iterator[None]:
    """Say of a failure what was done, and what the programs wrote."""
    begun = time.monotonic()
    try:
        yield
    except BaseException:
        print(drawn)  # noqa: T201
        for program in (*fault_run.consumers, fault_run.auditor):
            for number, started in enumerate(program.logs, 1):
                text = started.stderr.read_text()[-TAIL:] + started.stdout.read_text()[-TAIL:]
                print(f"--- {program.name}, start {number}: exit code {started.process.poll()}\n{text}")  # noqa: T201
        fault_run.close()
        raise
    print(f"seed {drawn.seed}: {time.monotonic() - begun:.1f} s, {len(fault_run.sound)} events")  # noqa: T201
