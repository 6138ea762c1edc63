"""Every metric that exists, and no other: the page, the rules and the dashboard are held against this by tests.

Values are in base units (seconds, bytes, events, money in the deployment's currency). Labels have few values: topics,
partitions, reasons, causes, outcomes, stages, commands; never a meter or a customer.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """How a metric behaves, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Source(StrEnum):
    """Which program has a metric."""

    CONSUMER = "projector run"
    EXPORTER = "projector metrics"
    CHECKER = "backfill drift-check"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Args:
        name: as Prometheus shows it; of a histogram without `_bucket`, `_sum` and `_count`.
        kind: counter, gauge or histogram.
        help: what its value says, with its unit.
        labels: the names of its labels.
        sources: the programs that have it.

    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    sources: tuple[Source, ...] = (Source.CONSUMER,)


BOTH: Final = (Source.CONSUMER, Source.EXPORTER)
EXPORTER: Final = (Source.EXPORTER,)
CHECKER: Final = (Source.CHECKER,)
PLACE: Final = ("topic", "partition")


def _counter(name: str, text: str, *labels: str, sources: tuple[Source, ...] = (Source.CONSUMER,)) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=text, labels=labels, sources=sources)


def _gauge(name: str, text: str, *labels: str, sources: tuple[Source, ...] = (Source.CONSUMER,)) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=text, labels=labels, sources=sources)


def _histogram(name: str, text: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.HISTOGRAM, help=text, labels=labels)


CATALOGUE: Final = (
    _gauge("projector_build_info", "1; the labels say what runs, and which deployment it belongs to",
           "program", "version", "schema", "group", sources=(*BOTH, *CHECKER)),
    _counter("projector_events_total", "Messages of committed batches: applied, stale (a duplicate, or superseded by a "
             "newer version), or refused; the reason is empty unless refused", "topic", "outcome", "reason"),
    _counter("projector_conflicts_total", "Events with the version of another one and other content"),
    _histogram("projector_batch_events", "Messages in a batch"),
    _histogram("projector_batch_bytes", "Raw bytes of the messages in a batch"),
    _histogram("projector_stage_seconds", "Time that a batch spent in a stage", "stage"),
    _histogram("projector_delay_seconds", "Time from the broker's timestamp of a message to its commit in PostgreSQL"),
    _gauge("projector_freshness_seconds", "Age of the oldest message that is not applied; 0 when all are",
           sources=BOTH),
    _gauge("projector_position_offset", "Next offset to apply", *PLACE, sources=BOTH),
    _gauge("projector_position_lag_events", "Messages that are not applied", *PLACE, sources=BOTH),
    _gauge("projector_position_age_seconds", "Age of the oldest message of a partition that is not applied; 0 when "
           "all are", *PLACE, sources=BOTH),
    _gauge("projector_position_retention_headroom_seconds", "Time until the broker deletes a message that is not "
           "applied; the whole retention when all are, +Inf where nothing is deleted by age", *PLACE, sources=BOTH),
    _counter("projector_position_conflicts_total", "Batches dropped because another consumer had moved a position"),
    _counter("projector_transaction_retries_total", "Tries of a batch that failed and were repeated; without a "
             "SQLSTATE the connection was lost", "sqlstate"),
    _gauge("projector_partitions_assigned", "Partitions that the group has assigned to this consumer"),
    _counter("projector_rebalances_total", "Times that the group gave this consumer partitions or took some away"),
    _gauge("projector_breaker_open", "1 if consumers have stopped because too many messages were refused",
           sources=BOTH),
    _gauge("projector_loop_heartbeat_timestamp_seconds", "When the loop of the consumer or of the checker last came "
           "round, in Unix time", sources=(Source.CONSUMER, Source.CHECKER)),
    _gauge("projector_broker_offsets_timestamp_seconds", "When the broker last said how far its logs reach, in Unix "
           "time; a lag is no younger than this", sources=BOTH),
    _gauge("projector_up", "1 if the service answered the exporter", "service", sources=EXPORTER),
    _gauge("projector_consumers", "Members of the consumer group", sources=EXPORTER),
    _gauge("projector_consumer_stops", "Hosts on which a consumer has stopped with an error, by reason, as long as "
           "none that started later works", "reason", sources=EXPORTER),
    _gauge("projector_verified_through_timestamp_seconds", "When the newest comparison of every balance with history "
           "began, in Unix time; 0 if there was none", sources=EXPORTER),
    _gauge("projector_verification_promised_seconds", "Greatest age of that comparison that the latest schedule "
           "promised; 0 without one", sources=EXPORTER),
    _gauge("projector_unverified_meters", "Meters that have changed since that comparison began", sources=EXPORTER),
    _gauge("projector_drift_open_findings", "Findings that nothing has repaired, of the newest run that compared what "
           "they are about", "cause", sources=EXPORTER),
    _gauge("projector_drift_open_amount", "By how much the money of those meters and customers is off, without signs, "
           "in the deployment's currency", "cause", sources=EXPORTER),
    _gauge("projector_dead_letters_open", "Refused messages that nobody has dealt with", "reason", sources=EXPORTER),
    _gauge("projector_dead_letters_oldest_timestamp_seconds", "When the oldest of them was refused, in Unix time; 0 "
           "without one", sources=EXPORTER),
    _gauge("projector_run_progress_ratio", "Share of the keys that the newest run of a command has compared, if it is "
           "not over", "command", sources=EXPORTER),
    _gauge("projector_run_last_success_timestamp_seconds", "When a run of a command last finished with no chunk "
           "failed, in Unix time", "command", sources=EXPORTER),
    _counter("projector_check_rounds_total", "Rounds of a checking service that ended: complete, partial (a chunk "
             "failed), failed, or postponed because another checker works", "outcome", sources=CHECKER),
    _gauge("projector_check_last_complete_timestamp_seconds", "When a round of this process was last complete, in Unix "
           "time; 0 if none was", sources=CHECKER),
    _counter("projector_run_throttled_seconds_total", "Time that the workers of a checking service rested after "
             "chunks, by what asked for the longest rest: consumers, rows_max or schedule", "reason",
             sources=CHECKER),
    _gauge("projector_clock_overdue_seconds", "How long an assignment that has begun or ended has waited to take "
           "effect; 0 if none waits", sources=EXPORTER),
    _gauge("projector_topic_problems", "Settings of the topics that the contract does not allow, or advises against",
           sources=EXPORTER),
)  # fmt: skip
BY_NAME: Final = {metric.name: metric for metric in CATALOGUE}
