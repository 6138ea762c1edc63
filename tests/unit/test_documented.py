"""Words that users meet in output are explained in the documentation: why rows differ, why messages were refused."""

import re
from pathlib import Path
from typing import Final, get_args

import pytest

from backfill.audit.drift_types import Cause
from events.contract.types import Reason

PAGES: Final = Path(__file__).parent.parent.parent / "docs"
FIRST_CELL: Final = re.compile(r"^\| ([^|]+) \|", re.MULTILINE)


@pytest.mark.parametrize("word", [*get_args(Cause), *get_args(Reason)])
def test_it_has_a_row_in_a_table(word: str) -> None:
    cells = [cell for page in PAGES.rglob("*.md") for cell in FIRST_CELL.findall(page.read_text())]
    assert any(f"`{word}`" in cell for cell in cells), f"no table under docs/ has a row for `{word}`"
