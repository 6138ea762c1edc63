"""The revision that a program needs is the one that Alembic would upgrade to, and no start pays for Alembic."""

import subprocess
import sys
from importlib.resources import as_file, files

from alembic.script import ScriptDirectory

from projector.database import revision


def test_what_is_needed_is_what_init_upgrades_to() -> None:
    with as_file(files("projector.database") / "migrations") as folder:
        script = ScriptDirectory(str(folder))
    assert revision.needed() == script.get_current_head()


def test_the_consumer_and_the_auditor_do_without_alembic() -> None:
    code = "import sys, projector.consume.run, backfill.execution.runner; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
