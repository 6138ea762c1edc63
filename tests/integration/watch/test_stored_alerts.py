"""Alerts that an earlier version stored are resolved, or sent, as those of this one."""

import json

from sqlalchemy import text

from events.runtime.settings import Settings
from projector.deployment import schema
from tests.support import old_schema

STORE = "INSERT INTO alerts (cause, state, digest, document) VALUES (:cause, :state, 'a', CAST(:document AS json))"


def test_an_upgrade_renames_the_state_and_the_suggested_command_and_keeps_the_order_of_members(
    settings: Settings,
) -> None:
    with old_schema.before(settings, "0010") as older:
        with older.begin() as connection:
            for state in ("raised", "over"):
                members = {"alert": "marks-edited", "state": state, "look_closer": "backfill runs", "detail": "over"}
                connection.execute(
                    text(STORE), {"cause": "marks-edited", "state": state, "document": json.dumps(members)}
                )
        schema.upgrade(older, old_schema.NAME)
        with older.connect() as connection:
            stored = connection.execute(text("SELECT state, document::text FROM alerts ORDER BY alert_id")).all()
    assert [(state, list(json.loads(document).items())) for state, document in stored] == [
        (state, [
            ("alert", "marks-edited"), ("state", state), ("suggested_command", "backfill runs"), ("detail", "over"),
        ])
        for state in ("raised", "resolved")
    ]  # fmt: skip
