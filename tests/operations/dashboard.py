"""Grafana's dashboard as it ships: its rows, its panels and what each asks Prometheus."""

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.docs.pages import ROOT


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel.

    Args:
        row: the title of its row.
        title: as shown.
        description: what it shows, in a sentence.
        unit: Grafana's name of it.
        queries: each with its legend.
        place: x, y, w and h in Grafana's grid.

    """

    row: str
    title: str
    description: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    place: dict[str, int]


def _panels(dashboard: dict[str, Any]) -> tuple[Panel, ...]:
    found, row = [], ""
    for each in dashboard["panels"]:
        if each["type"] == "row":
            row = each["title"]
            continue
        found.append(
            Panel(
                row=row,
                title=each["title"],
                description=each["description"],
                unit=each["fieldConfig"]["defaults"]["unit"],
                queries=tuple((target["expr"], target["legendFormat"]) for target in each["targets"]),
                place=each["gridPos"],
            )
        )
    return tuple(found)


PANELS: Final = _panels(json.loads((ROOT / "deploy" / "grafana" / "dashboard.json").read_text()))
ROWS: Final = list(dict.fromkeys(panel.row for panel in PANELS))


def asked(query: str, interval: str) -> str:
    """Replace Grafana's variables as it does where every deployment is chosen."""
    return query.replace("$deployment", ".*").replace("$__rate_interval", interval)
