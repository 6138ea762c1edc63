"""The reference is what the code says: `make reference` would write the committed pages again."""

import ast

import pytest

from tests.docs.generate import FOLDER, PAGES
from tests.docs.reference import exit_codes, log_events


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), f"docs/reference/{name} is out of date: run `make reference`"


def test_every_exit_code_of_the_boundary_is_listed() -> None:
    assert {"0", "1", "2", "3", "70", "130", "141"} == exit_codes.general_codes().keys()


SOURCE = """
class Member:
    def _drop(self, partitions, how):
        _log.info(how, partitions=len(partitions))

    def revoked(self):
        self._drop([], "revoked")

    def lost(self):
        self._drop([], "lost")

    def ended(self, run):
        _log.warning(f"{run.title} {run.state}", seconds=1)
"""


def test_an_events_name_is_a_text_or_what_a_caller_passes() -> None:
    tree = ast.parse(SOURCE)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    given = [call.args[0] for call in calls if ast.unparse(call.func).startswith("_log.")]
    named = [log_events.names_of(name, tree) for name in given]
    assert sorted(named) == [["revoked", "lost"], ["{run.title} {run.state}"]]
