"""Java's archive of the broker's classes (class-data sharing): with one, a start takes a third less processor time.

The first broker that is stopped writes it as it ends, and `keep` moves it from the broker's folder to the user's cache.
Java compares an archive with itself and with the jars, and does without one that does not match; a Java that cannot
write one says so in the broker's log.
"""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from projector.sandbox.folder import NAME


def place(java: Path, arguments: Sequence[str]) -> Path:
    """Name the archive in the user's cache: another Java, or other jars, have another.

    Args:
        java: the program.
        arguments: what decides which classes it loads and how.

    """
    real = java.resolve()
    identity = "\0".join([str(real), str(real.stat().st_mtime_ns), *arguments])
    return platformdirs.user_cache_path(NAME) / f"kafka-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.jsa"


def reading(archive: Path) -> list[str]:
    """Return the options that make Java use an archive, if there is one."""
    return [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []


def writing(archive: Path, home: Path) -> list[str]:
    """Return the options that make Java write an archive into the broker's folder as it ends, if there is none."""
    return [] if archive.exists() else [f"-XX:ArchiveClassesAtExit={home / archive.name}"]


def keep(home: Path) -> None:
    """Move what a broker wrote, if it did, to where the next one looks; it gets its name there when it is complete."""
    for written in home.glob("*.jsa"):
        kept = platformdirs.user_cache_path(NAME) / written.name
        partial = kept.with_name(f"{kept.name}.{os.getpid()}")
        shutil.move(written, partial)
        partial.replace(kept)
