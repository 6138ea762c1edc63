"""No package that is locked has a vulnerability that the pinned advisories know of; see SECURITY.md for their date."""

from pathlib import Path
from typing import Any, Final

import pytest
from packaging.version import Version

from tests.advisories import LOCKS, Affected, hits, locked, pinned, spans

SECURITY: Final = Path(__file__).parent.parent / "SECURITY.md"


@pytest.mark.parametrize("lock", LOCKS)
def test_no_locked_package_has_a_known_vulnerability(lock: str) -> None:
    assert list(hits(pinned()["advisories"], locked(lock))) == []


def test_every_locked_package_was_asked_for() -> None:
    """A package that is new to the lock has not been looked up: pin the advisories anew (SECURITY.md says how)."""
    asked = set(pinned()["packages"])
    for lock in LOCKS:
        assert not locked(lock).keys() - asked


def test_the_page_says_how_old_the_advisories_are() -> None:
    content = pinned()
    text = SECURITY.read_text()
    assert content["date"] in text
    assert content["commit"][:12] in text


def test_versions_of_old_would_be_found() -> None:
    """The audit itself: real advisories, and the versions that they are about and that mended them."""
    for package, version, known in (("pyyaml", "5.3", "PYSEC-2021-142"), ("urllib3", "2.0.6", "PYSEC-2023-212")):
        assert any(known in hit for hit in hits(pinned()["advisories"], {package: Version(version)}))
    for package, version in (("pyyaml", "5.4"), ("urllib3", "2.2.3")):
        assert list(hits(pinned()["advisories"], {package: Version(version)})) == []


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([{"introduced": "0"}, {"fixed": "1.2"}], [Affected("0", "1.2", None)]),
        ([{"introduced": "0"}], [Affected("0", None, None)]),
        ([{"introduced": "2.0"}, {"last_affected": "2.4"}], [Affected("2.0", None, "2.4")]),
        (
            [{"introduced": "2.0.0"}, {"fixed": "2.0.7"}, {"introduced": "0"}, {"fixed": "1.26.18"}],
            [Affected("0", "1.26.18", None), Affected("2.0.0", "2.0.7", None)],
        ),
        (
            [{"introduced": "0"}, {"fixed": "1.0"}, {"introduced": "1.0"}, {"fixed": "1.1"}],
            [Affected("0", "1.0", None), Affected("1.0", "1.1", None)],
        ),
    ],
)
def test_ranges_are_read_in_any_order(events: Any, expected: list[Affected]) -> None:  # noqa: ANN401 - as YAML has them
    assert list(spans(events)) == expected
