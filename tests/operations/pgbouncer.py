"""A PgBouncer between a test and its database."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from projector.sandbox import processes
from projector.sandbox.ports import free_port
from tests.support.services import database_answers

NOBODY: Final = 65_534  # PgBouncer does not run as root
START_SECONDS: Final = 60.0
CONFIGURATION: Final = """\
[databases]
* = host={host} port={port} {database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
{options}
"""


@contextmanager
def pgbouncer(database_url: str, *options: str, database: str = "") -> Iterator[str]:
    """Start one in front of a database; yield the database's address through it.

    Args:
        database_url: the database, with user and password.
        options: lines of PgBouncer's configuration.
        database: more of the database's line, such as `user=x`.

    """
    url, own = urlsplit(database_url), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "users.txt").write_text(f'"{url.username}" "{url.password}"\n')
        (folder / "pgbouncer.ini").write_text(
            CONFIGURATION.format(
                host=url.hostname, port=url.port, own=own, folder=folder, database=database, options="\n".join(options)
            )
        )
        with subprocess.Popen(["pgbouncer", folder / "pgbouncer.ini"], user=NOBODY, group=NOBODY) as bouncer:
            try:
                through = f"postgresql://{url.username}:{url.password}@127.0.0.1:{own}{url.path}"
                if not processes.wait_until(lambda: database_answers(through), seconds=START_SECONDS):
                    pytest.fail("PgBouncer does not answer")
                yield through
            finally:
                bouncer.terminate()
