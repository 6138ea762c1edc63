"""The dashboard's queries drawn as small charts in one SVG, for the documentation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any, Final

Series = tuple[str, list[tuple[float, float]]]
"""A legend, and points of seconds and values."""
WIDTH, HEIGHT, GAP, HEAD, COLUMNS = 280, 124, 12, 34, 3
TOP, LEFT, FOOT = 36, 10, 22  # within a chart: its title, its sides, its legend
COLOURS: Final = ("#1f7a73", "#a8741a", "#7a4fa3", "#b3363e", "#33689e", "#5b6b7a")
STYLE: Final = """
  .page { fill: #ffffff } .chart { fill: #f4f6f8; stroke: #c3ccd6 }
  text { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; fill: #16202a; font-size: 11px }
  .row { font-size: 14px; font-weight: 600 } .title { font-weight: 600; font-size: 10.5px }
  .small { font-size: 9px; fill: #44525f }
  @media (prefers-color-scheme: dark) {
    .page { fill: #1c222a } .chart { fill: #242c36; stroke: #44525f }
    text { fill: #eef2f6 } .small { fill: #b8c3ce }
  }
"""
TIMES: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))
COUNTS: Final = ((1_000_000, "M"), (1000, "k"))
UNITS: Final = {"s": "s", "cps": "/s", "Bps": "B/s", "percentunit": "", "none": ""}


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A panel with what Prometheus answered."""

    row: str
    title: str
    unit: str
    series: tuple[Series, ...]


def series(answer: Sequence[dict[str, Any]], legend: str, names: Mapping[str, str]) -> tuple[Series, ...]:
    """Take the series out of an answer to a range query; a legend's labels are filled in, and names replaced."""
    found = []
    for each in answer:
        name = legend
        for label, value in each["metric"].items():
            name = name.replace(f"{{{{{label}}}}}", value)
        for own, shown in names.items():
            name = name.replace(own, shown)
        points = [(float(at), float(value)) for at, value in each["values"] if value not in {"NaN", "+Inf"}]
        found.append((name.replace("{{deployment}}", "").strip(), points))
    return tuple(found)


def picture(charts: Sequence[Chart]) -> str:
    """Draw the charts, row by row."""
    moments = [at for chart in charts for _, points in chart.series for at, _ in points]
    begin, end = min(moments), max(moments)
    parts, y = [], GAP
    for row, members in groupby(charts, key=lambda chart: chart.row):
        parts.append(f'<text class="row" x="{GAP}" y="{y + 18}">{escape(row)}</text>')
        y += HEAD - 8
        for number, chart in enumerate(members):
            if number and number % COLUMNS == 0:
                y += HEIGHT + GAP
            x = GAP + number % COLUMNS * (WIDTH + GAP)
            parts.append(f'<g transform="translate({x} {y})">{_chart(chart, begin, end)}</g>')
        y += HEIGHT + GAP
    width = COLUMNS * (WIDTH + GAP) + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" role="img" aria-labelledby="title">\n'
        f'<title id="title">The queries of the dashboard over {end - begin:.0f} seconds</title>\n'
        f'<style>{STYLE}</style>\n<rect class="page" width="{width}" height="{y}"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _chart(chart: Chart, begin: float, end: float) -> str:
    highest = max((value for _, points in chart.series for _, value in points), default=0.0)
    floor, height, width = HEIGHT - FOOT, HEIGHT - FOOT - TOP, WIDTH - 2 * LEFT
    parts = [
        f'<rect class="chart" width="{WIDTH}" height="{HEIGHT}" rx="4"/>',
        f'<text class="title" x="{LEFT}" y="16">{escape(chart.title)}</text>',
        f'<text class="small" x="{LEFT}" y="28">up to {_number(highest, chart.unit)}</text>',
    ]
    x = LEFT
    for number, (name, points) in enumerate(chart.series):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(
            f"{LEFT + (at - begin) / (end - begin) * width:.1f},{floor - max(value, 0) / (highest or 1.0) * height:.1f}"
            for at, value in points
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        room = (WIDTH - LEFT - x) // 5
        if name and room > len(name):
            parts.append(f'<rect x="{x}" y="{floor + 9}" width="6" height="6" fill="{colour}"/>')
            parts.append(f'<text class="small" x="{x + 9}" y="{floor + 15}">{escape(name)}</text>')
            x += 18 + 5 * len(name)
    return "".join(parts)


def _number(value: float, unit: str) -> str:
    scales = TIMES if unit == "s" else COUNTS
    divisor, name = next(((divisor, name) for divisor, name in scales if value >= divisor), (1, ""))
    return f"{value / divisor:.3g} {name}{'' if unit == 's' and name else UNITS[unit]}".rstrip()
