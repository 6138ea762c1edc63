"""What the CloudEvents project's own SDK writes, in either mode, is read as it was meant."""

import json
from collections.abc import Callable

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from events.contract.decode import Decoder
from events.contract.types import Event, Message, topic_of
from events.simulate.options import Options
from events.simulate.render import Sent
from events.simulate.traffic import traffic

DECODE = Decoder(currency="KES", topic_prefix="billing")
SENT = tuple(traffic(Options(customers=2, meters=4, months=3, voids=0.3)))
VISIBLE = st.text(st.characters(min_codepoint=0x20, codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)
EXTENSIONS = st.fixed_dictionaries({}, optional={"subject": VISIBLE, "traceparent": VISIBLE})
Write = Callable[[CloudEvent, JSONFormat], KafkaMessage]


@pytest.mark.parametrize("write", [to_structured, to_binary])
@given(sent=st.sampled_from(SENT), event_id=VISIBLE, source=VISIBLE, optional=EXTENSIONS)
def test_the_sdk_writes_and_we_read(
    write: Write, sent: Sent, event_id: str, source: str, optional: dict[str, str]
) -> None:
    ours = json.loads(sent.line)
    attributes = {"id": event_id, "source": source, "type": ours["type"], "datacontenttype": "application/json"}
    written = write(CloudEvent(attributes={**attributes, **optional}, data=ours["data"]), JSONFormat())

    found = DECODE(
        Message(topic_of(sent.entity, "billing"), 0, 0, 0, sent.key, written.value, tuple(written.headers.items()))
    )

    expected = DECODE.structured(sent.line)
    assert isinstance(expected, Event)
    assert found == expected._replace(id=event_id, source=source)
