"""The report: tables for people, one document for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from events.runtime.console import print_table
from tests.bench.figures import MARKS, Figure, measurement
from tests.bench.plan import Plan

SMALL: Final = 100  # below this a figure is shown with decimals


def document(machine: dict[str, Any], plan: Plan, figures: Sequence[Figure]) -> dict[str, Any]:
    """Put a run into one JSON object."""
    return {
        "machine": machine,
        "plan": asdict(plan) | {"only": sorted(plan.only)},
        "figures": [asdict(figure) for figure in figures],
        "marks": [
            {
                "key": figure.key,
                "value": figure.value,
                "limit": MARKS[figure.key].limit,
                "kind": "at least" if MARKS[figure.key].at_least else "below",
                "met": MARKS[figure.key].met(figure.value),
            }
            for figure in figures
            if figure.key in MARKS
        ],
    }


def print_tables(machine: dict[str, Any], plan: Plan, figures: Sequence[Figure]) -> None:
    """Print what it ran on, and every figure beside its first mark."""
    print_table("Machine", ("What", "Is"), _facts(machine))
    title = f"{plan.events:,} events, {plan.meters:,} meters, {plan.customers:,} customers"
    print_table(title, ("Measurement", "Figure", "Value>", "Unit", "First mark", ""), _rows(figures))


def _facts(machine: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in machine.items():
        text = ", ".join(f"{key} {one}" for key, one in value.items()) if isinstance(value, dict) else str(value)
        yield name.replace("_", " "), text


def _rows(figures: Sequence[Figure]) -> Iterator[tuple[str, ...]]:
    shown = ""
    for figure in figures:
        name = measurement(figure)
        mark = MARKS.get(figure.key)
        yield (
            "" if name == shown else name,
            figure.what,
            _number(figure.value),
            figure.unit,
            f"{'at least' if mark.at_least else 'below'} {mark.limit:g}" if mark else "",
            ("met" if mark.met(figure.value) else "NOT MET") if mark else "",
        )
        shown = name


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= SMALL or value == int(value) else f"{value:.2f}"
