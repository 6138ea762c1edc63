"""Which messages are one dead letter: the same place, time and bytes of the same topic; any other keeps its bytes."""

from sqlalchemy import Engine, text

from tests.integration.dead_letters.conftest import Reader, letters


def _kept(engine: Engine) -> list[tuple[str | None, bytes]]:
    return [(letter["topic_id"], letter["value"]) for letter in letters(engine)]


def test_at_the_offset_and_time_of_another_topic_a_message_is_kept(reader: Reader, engine: Engine) -> None:
    reader.recreated("before")
    reader.read([b"no json", b"the same"])
    reader.recreated("now")
    reader.read([b"still none", b"the same"])
    old, new = [("before", b"no json"), ("before", b"the same")], [("now", b"still none"), ("now", b"the same")]
    assert _kept(engine) == [*old, *new]
    reader.replay()
    reader.read([b"still none", b"the same"])
    assert _kept(engine) == [*old, *new]


def test_at_the_offset_and_time_of_a_log_that_was_cut_a_message_is_kept(reader: Reader, engine: Engine) -> None:
    reader.recreated("one")
    reader.read([b"no json"], key=b"1")
    for value, key, headers in ((b"other", b"1", ()), (b"no json", b"2", ()), (b"no json", b"1", (("ce_id", b"7"),))):
        reader.replay()
        reader.read([value], key=key, headers=headers)
    assert len(letters(engine)) == 4


def test_one_that_was_kept_before_topics_were_told_apart_is_not_kept_twice(reader: Reader, engine: Engine) -> None:
    reader.read([b"no json", b"another"])
    with engine.begin() as connection:
        connection.execute(text("UPDATE dead_letters SET topic_id = NULL, digest = NULL"))
    reader.recreated("now")
    reader.read([b"no json", b"new here"])
    assert _kept(engine) == [(None, b"no json"), (None, b"another"), ("now", b"new here")]
