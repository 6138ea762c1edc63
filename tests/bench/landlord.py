"""One customer with very many meters beside as many meters of as many customers: a check's and a rebuild's cost."""

import json
from typing import Final, NamedTuple

from projector.database.statements import statements
from tests.bench.auditing import RUN_SECONDS
from tests.bench.figures import Figure, megabytes
from tests.bench.plan import Measurement
from tests.bench.programs import run
from tests.bench.scale import loaded
from tests.bench.workload import Workload, say

SQL: Final = statements("tests", "bench/landlord.sql")


class Done(NamedTuple):
    """A check or a rebuild: its seconds by its own record, first chunk to last, and its peak memory."""

    seconds: float
    peak_bytes: int


class Shape(NamedTuple):
    """What was measured of one shape."""

    clean: Done
    elsewhere: Done
    wrong: Done
    rebuilt: Done


def measure(workload: Workload) -> list[Figure]:
    """Load both shapes, check each in health, with meters shown elsewhere, and all wrong; rebuild; check once more."""
    ordinary = _measured(workload, "ordinary", give_to_one=False)
    one = _measured(workload, "landlord", give_to_one=True)
    only, meters = workload.plan.only, f"{workload.plan.shape:,} meters"
    figures = []
    if Measurement.LANDLORD in only:
        figures += [
            _seconds("landlord.ordinary_seconds", f"drift check, {meters} of half as many customers", ordinary.clean),
            _seconds("landlord.seconds", f"{meters} of one customer", one.clean),
            _seconds(
                "landlord.ordinary_elsewhere_seconds", "two fifths shown under another, ordinary", ordinary.elsewhere
            ),
            _seconds("landlord.elsewhere_seconds", "two fifths of one customer's", one.elsewhere),
            _memory("landlord.peak_memory", one.clean, one.elsewhere),
        ]
    if Measurement.EVERYTHING_WRONG in only:
        figures += [
            _seconds(
                "everything-wrong.ordinary_seconds", f"drift check, all of {meters} wrong, ordinary", ordinary.wrong
            ),
            _seconds("everything-wrong.seconds", "all of one customer's", one.wrong),
            _seconds("everything-wrong.ordinary_rebuild_seconds", "rebuild, ordinary", ordinary.rebuilt),
            _seconds("everything-wrong.rebuild_seconds", "rebuild of one customer's", one.rebuilt),
            _memory("everything-wrong.peak_memory", *ordinary[2:], *one[2:]),
        ]
    return figures


def _measured(workload: Workload, schema: str, *, give_to_one: bool) -> Shape:
    loaded(workload, schema, workload.plan.shape // 2)
    if give_to_one:
        _do(workload, schema, "give_to_one")
    clean = _program(workload, schema, "drift-check", 0)
    _do(workload, schema, "show_elsewhere")
    elsewhere = _program(workload, schema, "drift-check", 1)
    _do(workload, schema, "show_as_assigned", "damage_all")
    wrong = _program(workload, schema, "drift-check", 1)
    rebuilt = _program(workload, schema, "rebuild", 0)
    _program(workload, schema, "drift-check", 0)
    return Shape(clean, elsewhere, wrong, rebuilt)


def _do(workload: Workload, schema: str, *names: str) -> None:
    with workload.connected(schema) as connection:
        for name in names:
            connection.execute(SQL[name], {"customers": workload.plan.shape // 2})
        connection.execute("VACUUM (ANALYZE)")
    workload.settle()


def _program(workload: Workload, schema: str, program: str, exit_code: int) -> Done:
    say(f"{program} of the {schema} shape")
    environment = workload.environment | {"PROJECTOR_SCHEMA": schema}
    arguments = ("backfill", program, "--no-governor", "--format", "json")
    ended = run(workload.folder, f"{program}-{schema}", *arguments, environment=environment).expect(exit_code)
    with ended.stdout.open() as report, workload.connected(schema) as connection:
        (seconds,) = connection.execute(RUN_SECONDS, [json.load(report)["run_id"]]).fetchone() or (0,)
    return Done(float(seconds), ended.peak_bytes)


def _seconds(key: str, what: str, done: Done) -> Figure:
    return Figure(key=key, what=what, value=done.seconds, unit="s")


def _memory(key: str, *done: Done) -> Figure:
    return Figure(key=key, what="peak memory", value=megabytes(max(one.peak_bytes for one in done)), unit="MB")
