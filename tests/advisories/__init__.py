"""Known vulnerabilities of the packages that are locked, from a pinned state of the Python Packaging Advisory Database.

    python -m tests.advisories CHECKOUT    writes `pinned.json` anew from a clone of pypa/advisory-database

Kept are identifiers and affected versions (the database is CC BY 4.0), and only of packages in one of the locks.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parent.parent.parent
LOCKS: Final = (
    "requirements.lock",
    "requirements-runtime.lock",
    "requirements-build.lock",
    "requirements-docs.lock",
    "requirements-operations.lock",
)
PINNED: Final = Path(__file__).parent / "pinned.json"
LOCKED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


class Affected(NamedTuple):
    """From a version on, up to the one that mended it, or up to and including the last known; both may be open."""

    introduced: str
    fixed: str | None
    last: str | None

    def holds(self, version: Version) -> bool:
        """Tell whether a version lies within."""
        return (
            version >= Version(self.introduced)
            and (self.fixed is None or version < Version(self.fixed))
            and (self.last is None or version <= Version(self.last))
        )


def locked(file: str) -> dict[str, Version]:
    """Read a lock: every package, and the version of it."""
    return {canonicalize_name(name): Version(version) for name, version in LOCKED.findall((ROOT / file).read_text())}


def pinned() -> dict[str, Any]:
    """Read what is pinned."""
    content: dict[str, Any] = json.loads(PINNED.read_text())
    return content


def hits(advisories: Sequence[Mapping[str, Any]], packages: Mapping[str, Version]) -> Iterator[str]:
    """Name each advisory that one of these packages is affected by."""
    for advisory in advisories:
        version = packages.get(advisory["package"])
        if version is None:
            continue
        within = any(Affected(*each).holds(version) for each in advisory["ranges"])
        if within or version in map(Version, advisory["versions"]):
            yield f"{advisory['package']} {version}: {advisory['id']} ({', '.join(advisory['aliases'])})"


def spans(events: Sequence[Mapping[str, str]]) -> Iterator[Affected]:
    """Pair the events of one range, which may come in any order (OSV's schema, `affected[].ranges[].events`)."""
    begun: str | None = None
    for event in sorted(events, key=_place):
        ((kind, version),) = event.items()
        if kind == "introduced":
            begun = version
        elif begun is not None and kind in {"fixed", "last_affected"}:
            yield Affected(begun, version if kind == "fixed" else None, version if kind == "last_affected" else None)
            begun = None
    if begun is not None:
        yield Affected(begun, None, None)


def _place(event: Mapping[str, str]) -> tuple[Version, bool]:
    ((kind, version),) = event.items()
    return Version(version), kind == "introduced"
