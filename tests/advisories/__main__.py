"""Pin the advisory database's present state, of the packages that are locked."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.utils import canonicalize_name

from tests.advisories import LOCKS, PINNED, locked, spans


def main(checkout: Path) -> None:
    """Write `pinned.json`."""
    commit, date = _git(checkout, "log", "-1", "--format=%H %cs").split()
    names = sorted({name for lock in LOCKS for name in locked(lock)})
    content = {
        "source": "pypa/advisory-database",
        "commit": commit,
        "date": date,
        "packages": names,
        "advisories": [entry for name in names for entry in _entries(checkout, name)],
    }
    PINNED.write_text(json.dumps(content, indent=1) + "\n")


def _entries(checkout: Path, name: str) -> Iterator[dict[str, Any]]:
    paths = _git(checkout, "ls-tree", "-r", "--name-only", "HEAD", f"vulns/{name}/").split()
    for path in paths:
        advisory = yaml.safe_load(_git(checkout, "show", f"HEAD:{path}"))
        if "withdrawn" in advisory:
            continue
        affected = [each for each in advisory["affected"] if canonicalize_name(each["package"]["name"]) == name]
        ranges = [
            span
            for each in affected
            for part in each.get("ranges", ())
            if part["type"] == "ECOSYSTEM"
            for span in spans(part["events"])
        ]
        versions = [] if ranges else [str(version) for each in affected for version in each.get("versions", ())]
        about = {"id": advisory["id"], "aliases": advisory.get("aliases", []), "package": name}
        yield {**about, "ranges": ranges, "versions": versions}


def _git(checkout: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(checkout), *arguments], check=True, capture_output=True, text=True).stdout


main(Path(sys.argv[1]))
