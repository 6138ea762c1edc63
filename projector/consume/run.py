"""Consuming from start to end: checks, then one consumer after another, until one ends by itself or by a signal."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy import Engine

from events.contract.types import TopicPartition
from events.runtime import kafka
from events.runtime.errors import SettingError
from events.runtime.extras import how_to_install
from events.runtime.settings import Settings, host_and_port, variable
from events.runtime.stop import Stop
from projector.consume.applied import NOTHING, Applied
from projector.consume.consumer import Consumer
from projector.consume.consumer_metrics import ConsumerMetrics
from projector.consume.observer import BatchObserver
from projector.consume.retry import retry_until_available
from projector.consume.start_positions import check_deployment
from projector.consume.stop_reasons import recorded
from projector.database.failures import translate_database_errors
from projector.errors import PositionMovedError, TooManyRefusedError
from projector.kafka_log.broker import Broker
from projector.kafka_log.partitions import PartitionLog
from projector.metrics import probes
from projector.metrics.broker_watch import BrokerWatch
from projector.metrics.catalogue import Source

_log = structlog.get_logger()


def run(settings: Settings, engine: Engine, stop: Stop, *, until_caught_up: bool) -> Applied:
    """Consume until a stop is requested or, with `until_caught_up`, up to the current ends of the topics.

    An unavailable service is waited for, except before those ends are known.

    Returns:
        The totals of what was applied.

    Raises:
        PositionImpossibleError: the broker cannot serve a stored position.
        GroupRefusedError, TooManyRefusedError: the group refuses this consumer; too many messages are refused.
        StateError: the schema or a topic does not exist, or a topic is compacted.
        SettingError: a setting differs from what this deployment was set up with.
        ServiceUnavailableError: PostgreSQL or Kafka refuses us, or is unavailable before the ends are known.
        WorkFailedError: PostgreSQL refuses a batch for a reason other than an event's value.

    """
    broker, watch = Broker(settings), BrokerWatch(settings)
    with traced(settings) as observers:
        metrics = ConsumerMetrics(settings, watch, *observers)
        with _served(settings, metrics, watch):
            return _run(settings, engine, stop, broker, metrics, until_caught_up=until_caught_up)


def _run(  # noqa: PLR0913 - what one process has
    settings: Settings, engine: Engine, stop: Stop, broker: Broker, metrics: ConsumerMetrics, *, until_caught_up: bool
) -> Applied:
    def logs_now() -> dict[TopicPartition, PartitionLog]:
        return check_deployment(settings, engine, broker)

    logs = logs_now() if until_caught_up else retry_until_available(logs_now, stop=stop, heartbeat=metrics.heartbeat)
    if logs is None:
        return NOTHING
    total = NOTHING
    with translate_database_errors(settings), kafka.translate_kafka_errors(settings), recorded(settings, engine):
        while not stop.requested:
            consumer = Consumer(settings, engine, stop, broker, metrics)
            try:
                consumer.consume({place: log.high for place, log in logs.items()} if until_caught_up else None)
            except PositionMovedError as moved:
                metrics.position_conflicts += 1
                _log.warning("batch dropped, rejoining", reason=str(moved))
            except TooManyRefusedError:
                metrics.breaker_open = True
                raise
            else:
                break
            finally:
                consumer.close()
                total += consumer.total
    return total


@contextmanager
def _served(settings: Settings, metrics: ConsumerMetrics, watch: BrokerWatch) -> Iterator[None]:
    """Serve metrics and probes for the duration of the block, if an address is set."""
    if (address := host_and_port(settings.metrics_address)) is None:
        yield
        return
    from projector.metrics import endpoint, families  # noqa: PLC0415 - loads what only the metrics need

    found = {probes.ALIVE: metrics.alive, probes.READY: metrics.ready}
    with watch, endpoint.serving(address, families.registry(metrics.collect), found):
        yield


@contextmanager
def traced(settings: Settings) -> Iterator[list[BatchObserver]]:
    """Yield what makes spans for the duration of the block, if an address for them is set.

    Raises:
        SettingError: the extra is not installed.

    """
    if not settings.traces_url.get_secret_value():
        yield []
        return
    try:
        from projector.consume.spans import BatchSpans  # noqa: PLC0415 - an extra
        from projector.tracing.delivery import delivering  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingError(f"{variable('traces_url')} needs an extra: {how_to_install('tracing')}") from error
    with delivering(settings, program=Source.CONSUMER.value) as tracer:
        yield [BatchSpans(settings, tracer)]
