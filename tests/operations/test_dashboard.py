"""Each query of the dashboard is answered by a real Prometheus, with something to show."""

import os
import time
from pathlib import Path
from typing import Final

from sqlalchemy import text

from tests.docs.pages import ROOT
from tests.operations.dashboard import PANELS, asked
from tests.operations.picture import Chart, picture, series
from tests.operations.watched import TOLD_SECONDS, TRAFFIC, Watched

RATE: Final = "5s"  # scrapes come faster than in production, by `alert_chain.FASTER`
LIVE: Final = ("--customers", "2000", "--months", "2", "--start", "2026-03-01", "--poison", "0.02", "--rate", "100")
SLOW: Final = ("backfill", "rebuild", "--dry-run", "--max-rows-per-second", "1", "--no-governor")
PICTURED: Final = 5000  # messages until the picture is taken
RETRIES: Final = "projector_transaction_retries_total"
QUERIES: Final = {asked(query, RATE) for panel in PANELS for query, _ in panel.queries}


def test_each_panel_shows_something(watched: Watched, tmp_path: Path) -> None:
    """Traffic with broken messages, a lost connection, a row edited by hand, and a run that takes its time."""
    began = time.time()
    _begin(watched)
    seen = set[str]()

    def all_seen() -> bool:
        seen.update(query for query in QUERIES - seen if watched.chain.query(query))
        return seen == QUERIES

    try:
        watched.deployment.wait_until(all_seen, what="every query to find something", timeout=TOLD_SECONDS)
    finally:
        assert QUERIES - seen == set()
    watched.deployment.await_progress(PICTURED)
    drawn = picture(_charts(watched, began))
    (ROOT / os.environ.get("DASHBOARD_PICTURE", tmp_path / "dashboard.svg")).write_text(drawn)
    assert drawn.count("<polyline") >= len(PANELS)


def _begin(watched: Watched) -> None:
    deployment = watched.deployment
    assert deployment.command("events", "simulate", *TRAFFIC, "--publish").exit_code == 0
    watched.start("consumer")
    watched.start("exporter")
    watched.start("checker", "--max-rows-per-second", "500")  # so that it rests
    deployment.wait_until(lambda: deployment.progress() > 0, what="the first batch")
    deployment.start_command("events", "simulate", *LIVE, "--publish", env=deployment.environment)
    deployment.wait_until(lambda: _interrupted(watched), what="a batch to be tried again", timeout=TOLD_SECONDS)
    deployment.start_command(*SLOW, env=deployment.environment)
    with deployment.engine.begin() as editor:
        editor.execute(text("UPDATE meter_balances SET total_billed = total_billed + 1000 WHERE meter_id = 11"))


def _interrupted(watched: Watched) -> bool:
    """Break the consumer's connection, until it has lost a batch by it."""
    if watched.chain.query(RETRIES):
        return True
    watched.deployment.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'projector run'"
    )
    return False


def _charts(watched: Watched, began: float) -> list[Chart]:
    own, now = watched.deployment.settings, time.time()
    names = {f"{own.topic_prefix}.": "", own.group_id: "projector"}
    return [
        Chart(
            row=panel.row,
            title=panel.title,
            unit=panel.unit,
            series=tuple(
                each
                for query, legend in panel.queries
                for each in series(watched.chain.course(asked(query, RATE), began, now), legend, names)
            ),
        )
        for panel in PANELS
    ]
