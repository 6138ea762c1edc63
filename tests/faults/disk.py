"""A disk under PostgreSQL that can be full: a small file system of its own, or, for who may mount none, a limit.

On the file system it is as in life: writes fail for want of room (ENOSPC). A limit on the size of files makes the
writes of the server's log fail as truly, for another reason (EFBIG): PostgreSQL ends every session and recovers.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import psutil

from projector.sandbox.folder import server_account
from projector.sandbox.postgres import Postgres
from projector.sandbox.processes import is_gone, wait_until

DISK_MB: Final = 1024
ROOM_KB: Final = 64  # what a full disk still takes
SHRINK_SECONDS: Final = 10.0
LOG_WRITERS: Final = ("walwriter", "checkpointer")


class Disk(Protocol):
    """What can be done to it."""

    def fill(self) -> None:
        """Leave no room."""

    def free(self) -> None:
        """Give the room back."""

    def close(self) -> None:
        """Remove it."""


@dataclass(frozen=True)
class Mounted:
    """A file system in memory, as large as it is told to be."""

    folder: Path

    def mount(self) -> None:
        """Make it."""
        self.folder.mkdir(mode=0o711)
        _mount("-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=711", "tmpfs", str(self.folder))

    def fill(self) -> None:
        """Leave next to no room on it."""
        assert wait_until(self._shrink, seconds=SHRINK_SECONDS), f"{self.folder} cannot be made smaller"

    def free(self) -> None:
        """Give the room back."""
        _mount("-o", f"remount,size={DISK_MB}m", str(self.folder))

    def close(self) -> None:
        """Remove it; whoever still uses it keeps it until he ends."""
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def _shrink(self) -> bool:
        """Take the room away that is there; not where somebody has used some of it meanwhile."""
        used_kb = shutil.disk_usage(self.folder).used >> 10
        command = ["mount", "-o", f"remount,size={used_kb + ROOM_KB}k", str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Limited:
    """A limit that the next writers of the server's log no longer have: they are new after the recovery."""

    postgres: Postgres

    def fill(self) -> None:
        """Let those who write the log write nothing more."""
        self._limit("0", LOG_WRITERS)

    def free(self) -> None:
        """Take the limit from those who have not met it."""
        self._limit("unlimited", LOG_WRITERS)

    def _limit(self, size: str, names: Iterable[str]) -> None:
        """Set it as the account that the server runs under: even root may not for others, in many a container."""
        server, account = self.postgres.process(), server_account()
        for child in server.children() if server else ():
            with suppress(psutil.NoSuchProcess):
                title = " ".join(child.cmdline())  # of one that has just ended nothing is left
                if any(name in title for name in names):
                    command = ["prlimit", f"--fsize={size}:", "--pid", str(child.pid)]
                    uid, gid = account or (None, None)
                    done = subprocess.run(command, user=uid, group=gid, check=False)
                    assert done.returncode == 0 or is_gone(child), command

    def close(self) -> None:
        """Leave nothing: it goes with the server."""


def under(postgres: Postgres) -> Disk:
    """Give a server that has no data yet a disk that can be full."""
    if os.geteuid() != 0:
        return Limited(postgres)
    made = Mounted(postgres.home)
    try:
        made.mount()
    except subprocess.CalledProcessError:  # root in a container that may not
        return Limited(postgres)
    return made


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
