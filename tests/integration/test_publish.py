"""Publishing through the real command to a real Kafka, read back with a plain consumer."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from events.contract.cloudevents import STRUCTURED_HEADERS
from events.contract.decode import Decoder
from events.contract.types import ENTITIES, KEY_OF, Event, Mode, Refusal, topic_of
from events.contract.types import Message as Read
from events.publish import publish
from events.runtime import kafka
from events.runtime.errors import InputError, StateError
from events.runtime.settings import Settings
from events.simulate.options import Options
from events.simulate.traffic import simulate, traffic
from tests.conftest import RunCommand
from tests.support import examples

GOOD = [examples.line(examples.customer(key, "Wanjiku")) for key in (1, 2, 3)]
BAD = examples.line(examples.invoice(1, 2, "12.345"))
TRAFFIC = Options(customers=5, meters=10, months=2, voids=0.2)


def read_back(settings: Settings) -> list[Read]:
    """Read all four topics to the ends they have now."""
    with closing(kafka.consumer(settings, **{"group.id": "reader", "enable.auto.commit": False})) as consumer:
        return [_as_read(message) for message in _to_the_ends(consumer, settings)]


def _to_the_ends(consumer: Consumer, settings: Settings) -> Iterator[Message]:
    names = [topic_of(entity, settings.topic_prefix) for entity in ENTITIES]
    known = consumer.list_topics(timeout=10).topics
    left = 0
    places = []
    for name in names:
        for partition in known[name].partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=10)
            left += high - low
            places.append(TopicPartition(name, partition, low))
    consumer.assign(places)
    for _ in range(left):
        message = consumer.poll(10)
        assert message is not None
        assert message.error() is None
        yield message


def _as_read(message: Message) -> Read:
    topic, partition, offset = message.topic(), message.partition(), message.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    given = message.headers() or []
    assert isinstance(given, list)
    headers = tuple((name, value.encode() if isinstance(value, str) else value) for name, value in given)
    return Read(topic, partition, offset, message.timestamp()[1], message.key(), message.value(), headers)


def test_lines_arrive_as_given_on_their_topics_under_their_keys(
    kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand
) -> None:
    lines = list(simulate(TRAFFIC))
    done = run_command(
        "events", "publish", "-", "--format", "json", env=kafka_environment, stdin=b"\n\n".join(lines).decode()
    )
    assert done.exit_code == 0, done.stderr
    expected = Counter(topic_of(sent.entity, kafka_settings.topic_prefix) for sent in traffic(TRAFFIC))
    assert json.loads(done.stdout) == {"published": len(lines), "topics": dict(expected)}
    found = read_back(kafka_settings)
    assert sorted(message.value or b"" for message in found) == sorted(lines)
    decode = Decoder(kafka_settings.currency, kafka_settings.topic_prefix)
    for message in found:
        assert message.headers == STRUCTURED_HEADERS
        event = decode(message)
        assert isinstance(event, Event)
        key = event.data.get("meter_id") or event.data[KEY_OF[event.entity]]
        assert message.key == str(key).encode()


def test_binary_mode_carries_the_same_events(kafka_settings: Settings) -> None:
    lines = [*simulate(TRAFFIC), examples.line(examples.customer(1, 'Ach"ieng é') | {"subject": "é", "time": None})]
    counts = publish(lines, kafka_settings, "test", Mode.BINARY)
    assert sum(counts.values()) == len(lines)
    decode = Decoder(kafka_settings.currency, kafka_settings.topic_prefix)
    found = {event.id: event for event in map(decode, read_back(kafka_settings)) if isinstance(event, Event)}
    expected = [decode.structured(line) for line in lines]
    assert found == {event.id: event for event in expected if isinstance(event, Event)}


def test_a_bad_line_of_a_pipe_is_named_and_nothing_after_it_is_sent(kafka_settings: Settings) -> None:
    topic = topic_of("customers", kafka_settings.topic_prefix)
    with pytest.raises(InputError) as raised:
        publish([GOOD[0], GOOD[1], b"", BAD, GOOD[2]], kafka_settings, "standard input")
    assert str(raised.value).startswith("standard input:4: invalid-data: data.amount: '12.345' is not a decimal")
    assert str(raised.value).endswith(f"; sent before it: 2 to {topic}: continue with --from-line 4")
    assert {message.value for message in read_back(kafka_settings)} == set(GOOD[:2])


def test_nothing_of_a_file_with_bad_lines_is_sent_and_each_is_named(
    kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand, tmp_path: Path
) -> None:
    file = tmp_path / "some.jsonl"
    file.write_bytes(b"\n".join([*GOOD, BAD, b"", b"{", GOOD[0]]))
    done = run_command("events", "publish", str(file), env=kafka_environment)
    assert (done.exit_code, done.stdout) == (2, "")
    first, second, last = done.stderr.splitlines()
    assert first.startswith(f"{file}:4: invalid-data: data.amount: ")
    assert second.startswith(f"{file}:6: ")
    assert last == f"events: {file}: 2 of 6 lines are invalid; nothing was sent"

    file.write_bytes(b"\n".join([*GOOD, BAD]))
    done = run_command("events", "publish", str(file), env=kafka_environment)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"events: {file}:4: invalid-data: data.amount: ")
    assert done.stderr.endswith("; nothing was sent\n")
    assert read_back(kafka_settings) == []


@pytest.mark.parametrize("source", ["-", "some.jsonl"])
def test_a_misspelled_member_is_named_once_and_the_event_is_sent(
    kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand, tmp_path: Path, source: str
) -> None:
    line = examples.line(examples.invoice(1, None, "1.00", meterid=7))
    (file := tmp_path / "some.jsonl").write_bytes(line)
    name = "standard input" if source == "-" else str(file)
    given = source if source == "-" else name
    done = run_command("events", "publish", given, env=kafka_environment, stdin=line.decode())
    assert done.exit_code == 0
    assert done.stderr == f"{name}:1: warning: data.meterid is ignored: did you mean meter_id?\n"
    assert [message.value for message in read_back(kafka_settings)] == [line]


def test_a_byte_order_mark_is_left_out_and_lines_may_be(
    kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand, tmp_path: Path
) -> None:
    file = tmp_path / "from an editor.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(GOOD))
    options = ("--format", "json")
    assert (
        json.loads(run_command("events", "publish", str(file), *options, env=kafka_environment).stdout)["published"]
        == 3
    )
    done = run_command("events", "publish", str(file), "--from-line", "3", *options, env=kafka_environment)
    assert json.loads(done.stdout)["published"] == 1
    assert Counter(message.value for message in read_back(kafka_settings)) == Counter([*GOOD, GOOD[2]])


def test_a_table_for_people(kafka_environment: dict[str, str], run_command: RunCommand) -> None:
    done = run_command("events", "simulate", "--events", "30", "--customers", "9", "--publish", env=kafka_environment)
    assert done.exit_code == 0, done.stderr
    assert "total" in done.stdout
    assert "30" in done.stdout


def test_poison_is_published_as_it_is(
    kafka_settings: Settings, kafka_environment: dict[str, str], run_command: RunCommand
) -> None:
    arguments = ("--customers", "20", "--months", "2", "--poison", "30%", "--seed", "5", "--duplicates", "0.1")
    done = run_command("events", "simulate", *arguments, "--publish", "--format", "json", env=kafka_environment)
    assert done.exit_code == 0, done.stderr
    options = Options(seed=5, customers=20, meters=40, months=2, poison=0.3, duplicates=0.1)
    found = read_back(kafka_settings)
    assert Counter(message.value for message in found) == Counter(simulate(options))
    decode = Decoder(kafka_settings.currency, kafka_settings.topic_prefix)
    refused = sum(isinstance(decode(message), Refusal) for message in found)
    sound = replace(options, poison=0.0, duplicates=0.0)
    assert 0.2 < refused / len(list(simulate(sound))) < 0.45


def test_a_missing_topic_is_named_with_what_creates_it(kafka_settings: Settings) -> None:
    elsewhere = kafka_settings.model_copy(update={"topic_prefix": f"{kafka_settings.topic_prefix}-none"})
    with pytest.raises(StateError, match=r"^topic .*-none\.customers does not exist: run `projector init`$"):
        publish([examples.line(examples.customer(1, "Omar"))], elsewhere, "test")


def test_a_message_that_is_too_large_is_refused(kafka_settings: Settings) -> None:
    lines = [{"type": "x" * 1000, "amount": "1.00"}] * 2000
    with pytest.raises(InputError, match=r"^line 1: a message to .* too large"):
        publish([examples.line(examples.invoice(1, 2, "1.00", "issued", lines=lines))], kafka_settings, "test")


def test_nothing_listens_there(run_command: RunCommand, environment: dict[str, str]) -> None:
    there = environment | {"PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = run_command("events", "publish", "-", env=there)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("events: Kafka at 127.0.0.1:1 cannot be reached: ")
    assert "Traceback" not in done.stderr
