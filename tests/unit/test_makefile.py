"""`make` says what it does before each long step; shown with a Python that only pretends."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PRETENDER: Final = """#!/bin/sh
case "$1 $2 $3" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip install")
        case "$*" in *--require-hashes*) ;; *) exit 0 ;; esac
        for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21; do
            echo "Collecting package-$number==1.0"
            echo "  Downloading package-$number.whl"
        done
        [ -z "$BROKEN" ] || { echo "ERROR: no network" >&2; exit 1; }
        echo "Installing collected packages: many" ;;
esac
"""


@pytest.mark.parametrize("broken", ["", "yes"])
def test_each_long_step_is_announced_and_what_fails_fails(tmp_path: Path, broken: str) -> None:
    python, venv = tmp_path / "python", tmp_path / "venv"
    python.write_text(PRETENDER)
    python.chmod(0o755)
    made = subprocess.run(
        ["make", f"{venv}/.ready", f"VENV={venv}", f"PYTHON={python}"],
        cwd=ROOT,
        env={**os.environ, "BROKEN": broken},
        capture_output=True,
        text=True,
        check=False,
    )
    total = sum("==" in line for line in (ROOT / "requirements.lock").read_text().splitlines())
    expected = [
        f"make: creating {venv}",
        f"make: installing {total} packages into {venv}, some minutes the first time",
        f"make: 20 of {total} packages are fetched",
        "make: unpacking them",
    ]
    written = [line for line in made.stdout.splitlines() if line.startswith("make: ")]
    assert written == expected[: 3 if broken else 4]
    assert (made.returncode != 0, (venv / ".ready").exists()) == (bool(broken), not broken)
    assert ("no network" in made.stderr) == bool(broken)
