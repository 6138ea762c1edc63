"""What a projector holds at most, whatever lies in Kafka: few messages as large as they may be, many as small."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import Producer

from events.contract.cloudevents import STRUCTURED_HEADERS
from tests.bench.figures import Figure, megabytes
from tests.bench.programs import run
from tests.bench.workload import Workload, say
from tests.support.examples import customer, invoice, line

LARGE_OF: Final = 4500  # one large message for so many events of the plan: 200 MB for a million
LINES: Final = 21_000  # of one invoice, which make 900 KB
LARGE: Final = line(invoice(1, 1, "1.00", lines=[{"type": "CONSUMPTION", "amount": "1.00"}] * LINES))
SMALL: Final = line(customer(1, "A"))
FLUSH_EVERY_BYTES: Final = 32 << 20

Message = tuple[str, bytes, bytes]
"""Entity, key, value."""


def large(count: int) -> Iterable[Message]:
    """Make invoices of 900 KB."""
    return (("invoices", b"%d" % n, LARGE.replace(b'_id": 1,', b'_id": %d,' % n)) for n in range(1, count + 1))


def small(count: int) -> Iterable[Message]:
    """Make customers of 150 bytes."""
    return (("customers", b"%d" % n, SMALL.replace(b'_id": 1,', b'_id": %d,' % n)) for n in range(1, count + 1))


def send(servers: str, prefix: str, messages: Iterable[Message]) -> int:
    """Produce messages as they are; return how many."""
    producer = Producer({"bootstrap.servers": servers, "queue.buffering.max.messages": 1_000_000})
    sent = unflushed = 0
    for entity, key, value in messages:
        producer.produce(f"{prefix}.{entity}", value, key, headers=list(STRUCTURED_HEADERS))
        sent, unflushed = sent + 1, unflushed + len(value)
        if unflushed > FLUSH_EVERY_BYTES:
            producer.flush()
            unflushed = 0
    producer.flush()
    return sent


def measure(workload: Workload) -> list[Figure]:
    """Consume a backlog of each kind, with tables and topics of its own."""
    count = max(2, workload.plan.events // LARGE_OF)
    return [
        _peak(workload, "large", large(count), f"peak memory, {count:,} messages of {len(LARGE):,} bytes"),
        _peak(workload, "small", small(workload.plan.events), f"the same, {workload.plan.events:,} of {len(SMALL):,}"),
    ]


def _peak(workload: Workload, kind: str, messages: Iterable[Message], what: str) -> Figure:
    own = {
        "PROJECTOR_SCHEMA": f"memory_{kind}",
        "PROJECTOR_TOPIC_PREFIX": f"memory-{kind}",
        "PROJECTOR_GROUP_ID": f"memory-{kind}",
    }
    environment = workload.environment | own
    run(workload.folder, f"init-{kind}", "projector", "init", environment=environment).expect(0)
    say(f"filling Kafka with {kind} messages")
    send(workload.settings.kafka_bootstrap_servers, f"memory-{kind}", messages)
    say("projecting them")
    ended = run(
        workload.folder, f"memory-{kind}", "projector", "run", "--until-caught-up", environment=environment
    ).expect(0)
    with workload.connected() as connection:
        connection.execute(f"DROP SCHEMA memory_{kind} CASCADE".encode())
    return Figure(key=f"memory.{kind}", what=what, value=megabytes(ended.peak_bytes), unit="MB")
