"""What Prometheus gets from a consumer and from the exporter, against what the tables and the topics hold."""

import json
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from projector.metrics.catalogue import CATALOGUE, Kind, Source
from tests.e2e.test_commands import NOWHERE
from tests.support.deployment import Deployment, ended, log, records, wait_for_exit
from tests.support.programs import Started

SERVED: Final = {"PROJECTOR_METRICS_ADDRESS": "127.0.0.1:0"}
TRAFFIC: Final = ("--seed", "8", "--customers", "20", "--months", "2", "--poison", "5%")
Labels = tuple[tuple[str, str], ...]
Values = dict[str, dict[Labels, float]]
"""By name: the value for each set of labels."""
OF_SAMPLES: Final = ("_bucket", "_sum", "_count", "")


def _values(text: str) -> Values:
    found: Values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def _ask(deployment: Deployment, started: Started, path: str) -> tuple[int, str]:
    deployment.wait_until(lambda: records(started, "serving metrics") or ended(started), what="metrics to be served")
    [line] = records(started, "serving metrics")
    address = urlsplit(line["address"])
    connection = HTTPConnection(str(address.hostname), address.port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def _scraped(deployment: Deployment, started: Started) -> Values:
    status, text = _ask(deployment, started, "/metrics")
    assert status == 200
    return _values(text)


def _probe(deployment: Deployment, started: Started, path: str) -> tuple[int, dict[str, Any]]:
    status, text = _ask(deployment, started, path)
    return status, json.loads(text)


def _by_place(values: dict[Labels, float]) -> dict[tuple[str, int], float]:
    return {(dict(labels)["topic"], int(dict(labels)["partition"])): value for labels, value in values.items()}


def _only(values: dict[Labels, float]) -> float:
    [value] = values.values()
    return value


def _names(values: Values, source: Source) -> set[str]:
    """Return the names of the catalogue's metrics that are there, after checking that no other one is."""
    of_source = {metric.name: metric for metric in CATALOGUE if source in metric.sources}
    found = set()
    for name in values:
        if name.startswith("projector_"):
            base = next(name.removesuffix(end) for end in OF_SAMPLES if name.removesuffix(end) in of_source)
            assert (of_source[base].kind is Kind.HISTOGRAM) == (name != base)
            found.add(base)
    return found


def test_a_consumer_counts_what_it_does(deployment: Deployment) -> None:
    assert deployment.command("events", "simulate", *TRAFFIC, "--publish").exit_code == 0
    started = deployment.consumer(SERVED)
    deployment.await_caught_up()
    messages, positions = sum(deployment.ends().values()), deployment.positions()
    deployment.wait_until(
        lambda: _by_place(_scraped(deployment, started).get("projector_position_offset", {})) == positions,
        what="the metrics to reach the positions",
    )
    found = _scraped(deployment, started)
    assert _names(found, Source.CONSUMER) == {
        metric.name for metric in CATALOGUE if Source.CONSUMER in metric.sources
    } - {"projector_transaction_retries_total"}
    refused = Counter[str]()
    for labels, count in found["projector_events_total"].items():
        if dict(labels)["outcome"] == "refused":
            refused[dict(labels)["reason"]] += int(count)
        else:
            assert not dict(labels)["reason"]
    assert refused == dict(deployment.sql("SELECT reason, count(*) FROM dead_letters GROUP BY reason"))
    assert sum(found["projector_events_total"].values()) == messages
    assert _only(found["projector_delay_seconds_count"]) == messages
    assert _only(found["projector_batch_events_sum"]) == messages
    assert set(found["projector_position_lag_events"].values()) == {0.0}
    assert _only(found["projector_freshness_seconds"]) == 0.0
    assert _only(found["projector_partitions_assigned"]) == len(positions)
    assert _probe(deployment, started, "/healthz")[1]["alive"]
    assert _probe(deployment, started, "/readyz") == (200, {"ready": True, "joined": True, "breaker_closed": True})
    started.process.terminate()
    assert wait_for_exit(started) == 0


def test_a_consumer_that_is_stalled_is_alive_and_its_figures_grow_old(deployment: Deployment) -> None:
    deployment.publish(deployment.simulate(*TRAFFIC[:4], "--months", "1"))
    started = deployment.consumer(SERVED)
    with deployment.engine.begin() as blocker:
        blocker.exec_driver_sql("LOCK TABLE billing.meter_balances IN SHARE MODE")
        deployment.wait_until(
            lambda: _only(_scraped(deployment, started)["projector_freshness_seconds"]) > 2.0,
            what="messages to grow old behind the lock",
        )
        found = _scraped(deployment, started)
        waiting = {place for place, lag in _by_place(found["projector_position_lag_events"]).items() if lag}
        old = {place for place, age in _by_place(found["projector_position_age_seconds"]).items() if age > 1.0}
        assert old <= waiting
        assert old
        headroom = _by_place(found["projector_position_retention_headroom_seconds"])
        assert all(headroom[place] > 0 for place in old)
        assert _probe(deployment, started, "/healthz")[0] == 200
        assert _probe(deployment, started, "/readyz")[0] == 200
    deployment.wait_until(
        lambda: _only(_scraped(deployment, started)["projector_freshness_seconds"]) == 0.0,
        what="everything to be applied",
    )


def test_waiting_for_postgresql_is_alive_and_not_ready(deployment: Deployment) -> None:
    away = {"PROJECTOR_DATABASE_URL": f"postgresql://nobody@{NOWHERE}/nothing"}
    started = deployment.start(SERVED | away)
    deployment.wait_until(lambda: len(records(started, "retrying")) > 1 or ended(started), what="two tries")
    assert _probe(deployment, started, "/healthz")[0] == 200
    status, facts = _probe(deployment, started, "/readyz")
    assert (status, facts["joined"]) == (503, False)
    started.process.terminate()
    assert wait_for_exit(started) == 0, log(started)


def test_the_exporter_knows_a_deployment_in_which_nothing_runs(deployment: Deployment, tmp_path: Path) -> None:
    assert deployment.command("events", "simulate", *TRAFFIC, "--publish").exit_code == 0
    found = _values(deployment.command("projector", "metrics").stdout)
    ends = deployment.ends()
    assert _by_place(found["projector_position_lag_events"]) == ends
    assert _only(found["projector_freshness_seconds"]) > 0.0
    assert _only(found["projector_verified_through_timestamp_seconds"]) == 0.0
    deployment.catch_up()
    assert deployment.drift_check().exit_code == 0
    [[meter]] = deployment.sql("SELECT min(meter_id) FROM meter_balances")
    deployment.sql("UPDATE meter_balances SET total_paid = total_paid + 250 WHERE meter_id = :meter", meter=meter)
    assert deployment.drift_check().exit_code == 1

    file = tmp_path / "projector.prom"
    assert deployment.command("projector", "metrics", "--textfile", str(file)).exit_code == 0
    assert (file.stat().st_mode & 0o777, [*tmp_path.iterdir()]) == (0o644, [file])
    found = _values(file.read_text())
    assert _names(found, Source.EXPORTER) == {
        metric.name for metric in CATALOGUE if Source.EXPORTER in metric.sources
    } - {"projector_run_progress_ratio"}
    assert set(found["projector_position_lag_events"].values()) == {0.0}
    assert _by_place(found["projector_position_offset"]) == deployment.positions() == ends
    letters = {dict(labels)["reason"]: count for labels, count in found["projector_dead_letters_open"].items()}
    assert letters == dict(deployment.sql("SELECT reason, count(*) FROM dead_letters GROUP BY reason"))
    findings = deployment.sql("SELECT cause, count(*) FROM drift GROUP BY cause")
    assert {(dict(labels)["cause"], count) for labels, count in found["projector_drift_open_findings"].items()} == {
        (cause, float(count)) for cause, count in findings
    }
    assert set(found["projector_drift_open_amount"].values()) == {250.0}
    [[began]] = deployment.sql("SELECT extract(epoch FROM max(started_at))::float8 FROM backfill_runs")
    assert abs(_only(found["projector_verified_through_timestamp_seconds"]) - began) < 0.001

    assert deployment.command("backfill", "rebuild").exit_code == 0
    found = _values(deployment.command("projector", "metrics").stdout)
    assert "projector_drift_open_findings" not in found
    assert dict(found["projector_run_last_success_timestamp_seconds"]).keys() == {
        (("command", "drift-check"),),
        (("command", "rebuild"),),
    }


def test_the_exporter_as_a_service_says_which_service_is_away(deployment: Deployment) -> None:
    away = {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": NOWHERE}
    once = deployment.command("projector", "metrics", env=away)
    assert (once.exit_code, once.stderr.count("\n")) == (2, 1), once.stderr
    assert _values(once.stdout)["projector_up"] == {(("service", "postgresql"),): 1.0, (("service", "kafka"),): 0.0}
    assert "projector_dead_letters_oldest_timestamp_seconds" in _values(once.stdout)

    settings = deployment.environment | {"PROJECTOR_LOG_FORMAT": "json"} | SERVED
    started = deployment.start_command("projector", "metrics", "--listen", env=settings)
    deployment.wait_until(
        lambda: _probe(deployment, started, "/readyz")[0] == 200, what="the exporter to have looked at both services"
    )
    found = _scraped(deployment, started)
    assert set(found["projector_up"].values()) == {1.0}
    assert _by_place(found["projector_position_lag_events"]).keys() == deployment.ends().keys()
    assert _probe(deployment, started, "/healthz")[0] == 200
    started.process.terminate()
    assert wait_for_exit(started) == 0


def test_options_and_settings_that_cannot_be_used(deployment: Deployment) -> None:
    for arguments, said in (
        (("projector", "metrics", "--listen"), "PROJECTOR_METRICS_ADDRESS is not set"),
        (("projector", "metrics", "--listen", "--textfile", "x"), "cannot be combined"),
        (("projector", "health"), "PROJECTOR_METRICS_ADDRESS is not set"),
    ):
        done = deployment.command(*arguments)
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr
