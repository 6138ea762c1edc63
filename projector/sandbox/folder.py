"""The folder of a sandbox: where it is, who may enter it, and the lock that lets one command at a time change it.

PostgreSQL refuses to run as root. Started by root, it runs as `nobody`, an account that every system has, and its
folder belongs to that account, which must be able to enter every folder above it. It usually cannot enter a root user's
own cache, so root's sandbox is in the system's cache folder (`/var/cache/meter-balance-projector`) instead.
"""

import fcntl
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import platformdirs

from events.runtime.errors import SettingError

NAME: Final = "meter-balance-projector"
ACCOUNT: Final = "nobody"
LOCK: Final = "lock"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - the folder made in it is by mkdtemp
ROOM_BYTES: Final = 4 << 30  # several servers, each with its log of up to 256 MB and a few databases


class Account(NamedTuple):
    """The numeric ids a server runs under."""

    uid: int
    gid: int


def server_account() -> Account | None:
    """Return the account that PostgreSQL runs as; None for the current user.

    Raises:
        SettingError: the user is root, on a system without that account.

    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise SettingError(
            f"PostgreSQL refuses to run as root and there is no user {ACCOUNT}: use another user"
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def open_to_all(path: Path) -> bool:
    """Tell whether any account may enter every existing folder of the path."""
    existing = [folder for folder in (path, *path.parents) if folder.exists()]
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in existing)


def shared_cache() -> Path:
    """Return a cache folder that the current user and PostgreSQL's account can enter."""
    own = platformdirs.user_cache_path(NAME)
    return own if server_account() is None or open_to_all(own) else platformdirs.site_cache_path(NAME)


def temporary(*, in_memory: bool = False) -> Path:
    """Make a fresh folder for a throw-away sandbox, in memory if that is asked for and there is room."""
    usual = MEMORY if in_memory and _has_room(MEMORY) else Path(tempfile.gettempdir())
    parent = usual if server_account() is None or open_to_all(usual) else Path("/var/tmp")  # noqa: S108 - made by mkdtemp
    folder = Path(tempfile.mkdtemp(prefix="meter-balance-sandbox-", dir=parent)).resolve()
    folder.chmod(_mode())
    return folder


def _has_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= ROOM_BYTES
    except OSError:
        return False


def prepare(folder: Path) -> None:
    """Create the folder so that others cannot read it; an existing one keeps its owner and mode.

    Raises:
        SettingError: it cannot be created, or PostgreSQL's account could not enter it.

    """
    if server_account() is not None and not open_to_all(folder):
        raise SettingError(
            f"started by root, PostgreSQL runs as {ACCOUNT}, and that user may not enter {folder}: give another --dir"
        )
    try:
        for part in reversed((folder, *folder.parents)):
            if not part.exists():
                part.mkdir(exist_ok=True)
                part.chmod(_mode())
    except OSError as error:
        raise SettingError(f"the sandbox's folder {folder} cannot be used: {error.strerror}") from None


def _mode() -> int:
    """Let other users pass through a folder only if PostgreSQL runs as another account."""
    return 0o700 if server_account() is None else 0o711


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the folder for one command; another one waits. The lock ends with the process."""
    prepare(folder)
    while True:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_still(handle, folder / LOCK):
                yield
                return
        finally:
            os.close(handle)
        prepare(folder)


def write_atomically(path: Path, content: str) -> None:
    """Replace a file as a whole, readable by its owner only."""
    partial = path.with_name(f"{path.name}.partial")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _is_still(handle: int, path: Path) -> bool:
    """Tell whether the file that was locked still exists under its path: `down --delete` removes it."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
