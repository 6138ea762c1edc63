"""A person at a terminal reads a command's report, and not the log line that says the same for programs."""

import sys
from typing import Any

import pytest
import structlog

from events.runtime import logs
from events.runtime.settings import Settings
from tests.docs.reference import log_events


@pytest.mark.parametrize(
    ("terminals", "log_format", "lines"),
    [
        ({"stdout", "stderr"}, "console", 1),
        ({"stdout"}, "console", 4),  # standard error goes to a file: programs read it
        ({"stderr"}, "console", 4),  # the report goes to a file
        ({"stdout", "stderr"}, "json", 4),
    ],
)
def test_the_result_is_left_out_of_the_log_beside_the_report(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    terminals: set[str],
    log_format: Any,  # noqa: ANN401 - a literal of the setting
    lines: int,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: "stdout" in terminals)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: "stderr" in terminals)
    logs.configure(Settings(_env_file=None, log_format=log_format))
    for event in (*sorted(logs.RESULTS), "batch"):
        structlog.get_logger().info(event)
    written = capsys.readouterr().err.splitlines()
    assert len(written) == lines
    assert "batch" in written[-1]


def test_what_is_left_out_is_logged_somewhere() -> None:
    assert {each.event for each in log_events.events()} >= logs.RESULTS
