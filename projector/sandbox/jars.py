"""Apache Kafka's jars: resolved once from Maven Central, and used only if their SHA-256 is the pinned one.

`kafka-jars.sha256` lists the name and digest of each. They are kept in a folder of their own in the user's cache, so a
second start resolves nothing, and are checked at every start, because a cache may have changed.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

import platformdirs

from events.runtime.console import say_on_stderr
from events.runtime.errors import ServiceUnavailableError, StateError
from projector.sandbox.folder import NAME
from projector.sandbox.progress import MEGABYTE, Downloads

KAFKA_VERSION: Final = "4.3.1"
JARS_BYTES: Final = 45_000_000  # of all jars, about
COORDINATES: Final = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"


def class_path() -> str:
    """Return the checked jars as Java's `-cp` takes them, fetching them the first time.

    Raises:
        ServiceUnavailableError: they cannot be fetched.
        StateError: a jar is not the pinned one, or the cache cannot be written.

    """
    cache = platformdirs.user_cache_path(NAME)
    folder = cache / f"kafka-{KAFKA_VERSION}"
    if not folder.exists():
        try:
            with _alone(cache):
                if not folder.exists():
                    _fetch(folder)
        except OSError as error:
            raise StateError(f"Apache Kafka's jars cannot be kept in {cache}: {error.strerror or error}") from None
    verify(folder, pinned())
    return os.pathsep.join(str(folder / name) for name in sorted(pinned()))


def pinned() -> dict[str, str]:
    """Read the list of jars: name to SHA-256."""
    lines = (files("projector.sandbox") / "kafka-jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def verify(folder: Path, expected: dict[str, str]) -> None:
    """Compare each jar with its digest.

    Raises:
        StateError: naming the first that is missing or differs.

    """
    for name, digest in expected.items():
        try:
            with (folder / name).open("rb") as jar:
                found = hashlib.file_digest(jar, "sha256").hexdigest()
        except OSError:
            raise StateError(f"{folder / name} cannot be read: delete {folder} to fetch it again") from None
        if found != digest:
            raise StateError(f"{folder / name} is not the jar that was pinned: delete {folder} to fetch it again")


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Let one process fetch at a time: the resolver's own cache is not made for two, which fail or read half a jar."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    """Resolve the coordinates and collect the pinned jars; the folder gets its name after all of them are verified."""
    megabytes = JARS_BYTES // MEGABYTE
    say_on_stderr(f"fetching Apache Kafka {KAFKA_VERSION} from Maven Central, once (about {megabytes} MB)")
    import jgo  # noqa: PLC0415 - needed once
    from jgo.maven import PythonResolver  # noqa: PLC0415 - as above

    resolver = PythonResolver(progress_callback=Downloads(JARS_BYTES, say_on_stderr).file)
    try:
        jars = {jar.name: jar for jar in jgo.build(COORDINATES, resolver=resolver).all_jars}
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise ServiceUnavailableError(f"Apache Kafka's jars cannot be fetched from Maven Central: {error}") from None
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a fetch that was killed
    partial.mkdir()
    try:
        for name in pinned().keys() & jars.keys():
            _link(jars[name], partial / name)
        verify(partial, pinned())
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _link(jar: Path, place: Path) -> None:
    """Link the resolver's file if the file system allows, else copy it; it is verified before use."""
    try:
        place.hardlink_to(jar.resolve())
    except OSError:
        shutil.copyfile(jar, place)
