"""Spans of a real consumer at a real collector; and a collector that is away or hangs costs nothing."""

import json
from typing import Final

from confluent_kafka import Producer

from events.contract.types import topic_of
from projector.sandbox.ports import free_port
from tests.support.collector import collecting, values
from tests.support.deployment import Deployment, log, records, wait_for_exit
from tests.support.examples import invoice

WRITERS_STAGES: Final = ["positions", "reduce", "copy", "merge", "commit"]
URL: Final = "PROJECTOR_TRACES_URL"
EVENTS: Final = [json.dumps(invoice(number, 1, "10.00")) for number in range(1, 41)]


def _trace(number: int) -> str:
    return f"{number:032x}"


def _publish(deployment: Deployment) -> None:
    """Send valid events, each of a trace of its own, and one that is refused, of trace 999."""
    producer = Producer({"bootstrap.servers": deployment.settings.kafka_bootstrap_servers})
    topic = topic_of("invoices", deployment.settings.topic_prefix)
    for number, line in enumerate([*EVENTS, "no JSON"], start=1):
        trace = _trace(number if number <= len(EVENTS) else 999)
        producer.produce(topic, line, headers=[("traceparent", f"00-{trace}-{'b' * 16}-01".encode())])
    assert producer.flush(60) == 0


def test_each_batch_is_a_span_with_its_stages_and_links(deployment: Deployment) -> None:
    _publish(deployment)
    with collecting() as collector:
        own = {URL: collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-team=billing", "OTEL_RESOURCE_ATTRIBUTES": "rack=7"}
        deployment.catch_up(env=own)
        spans, [resource, *_] = collector.spans, collector.received
    assert set(collector.headers) == {"billing"}
    described = values(list(resource.resource.attributes))
    assert described["service.name"] == "meter-balance-projector"
    assert described["rack"] == "7"
    assert described["projector.group"] == deployment.settings.group_id
    facts = [values(list(span.attributes)) for span in spans]
    assert sum(int(each["messaging.batch.message_count"]) for each in facts) == len(EVENTS) + 1
    assert sum(int(each["projector.applied"]) for each in facts) == len(EVENTS)
    for span in spans:
        assert span.name == "apply batch"
        assert {event.name for event in span.events} == set(WRITERS_STAGES)
        moments = [event.time_unix_nano for event in span.events]
        assert span.start_time_unix_nano <= moments[0]
        assert sorted(moments) == moments
        assert moments[-1] <= span.end_time_unix_nano
    linked = {link.trace_id.hex(): values(list(link.attributes)) for span in spans for link in span.links}
    assert linked.keys() == {_trace(number) for number in (*range(1, len(EVENTS) + 1), 999)}
    assert linked[_trace(999)]["projector.reason"] == "not-json"


def test_a_dead_letter_says_which_trace_it_belongs_to(deployment: Deployment) -> None:
    """Also where the consumer makes no traces: the source's tells what happened before."""
    _publish(deployment)
    deployment.catch_up()
    [(letter,)] = deployment.sql("SELECT dead_letter_id FROM dead_letters")
    shown = deployment.command("projector", "dead-letters", "show", str(letter), "--format", "json")
    assert json.loads(shown.stdout)["trace_id"] == _trace(999)
    assert _trace(999) in deployment.command("projector", "dead-letters", "show", str(letter)).stdout.split("Header")[0]


def test_a_collector_that_is_away_costs_nothing_but_its_spans(deployment: Deployment) -> None:
    _publish(deployment)
    done = deployment.catch_up(env={URL: f"http://secret:token@127.0.0.1:{free_port()}/v1/traces"})
    assert deployment.disagreement(EVENTS) == ""
    assert "token" not in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("traces not delivered") <= 1


def test_a_collector_that_hangs_holds_up_neither_a_batch_nor_the_end(deployment: Deployment) -> None:
    with collecting() as collector:
        collector.answers.clear()
        consumer = deployment.consumer({URL: collector.url, "OTEL_BSP_SCHEDULE_DELAY": "50"})
        _publish(deployment)
        deployment.wait_until(lambda: collector.headers, what="a request that hangs")
        deployment.await_caught_up()
        assert deployment.disagreement(EVENTS) == ""
        consumer.process.terminate()
        assert wait_for_exit(consumer) == 0
        assert collector.received == []


def test_a_loss_is_said_once_and_so_is_its_end(deployment: Deployment) -> None:
    with collecting() as collector:
        collector.answers.clear()
        quick = {"OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_EXPORTER_OTLP_TIMEOUT": "0.2"}
        consumer = deployment.consumer({URL: collector.url, **quick})
        for count in (1, 2):
            _publish(deployment)
            deployment.wait_until(lambda: len(collector.headers) >= count, what="a request")  # noqa: B023 - at once
        deployment.wait_until(lambda: records(consumer, "traces not delivered"), what="the loss to be said")
        collector.answers.set()

        def again() -> bool:
            _publish(deployment)
            return bool(records(consumer, "traces delivered again"))

        deployment.wait_until(again, what="the end of it")
        [lost], [back] = records(consumer, "traces not delivered"), records(consumer, "traces delivered again")
        assert (lost["host"], back["host"]) == ("127.0.0.1", "127.0.0.1")
        assert back["lost"] >= 1
        assert "opentelemetry" not in log(consumer)
