"""The tutorial's commands, run as a reader would type them.

    python -m tests.docs.tutorial    run them on servers of their own, and write what they print into the page

A block marked `console` holds commands after `$ `, each with what it prints on standard output. All of them are one
shell session. Blocks marked `sh` start and stop the reader's own servers and are not run.
"""

import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.services import Services

PAGE: Final = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK: Final = re.compile(r"(?<=^```console\n)(.*?)(?=^```$)", re.MULTILINE | re.DOTALL)
COMPLAINT: Final = re.compile(r"^(Traceback|(events|projector|backfill): )", re.MULTILINE)
"""What a program says that could not do what was asked; log lines begin with a time."""
SECONDS: Final = 1500
DRAWN: Final = (
    (re.compile(r"kafka cluster \S+"), "kafka cluster ID"),
    (re.compile(r"\([\d.]+ s, [\d,]+ (\w+)/s\)"), r"(# s, # \1/s)"),
    (re.compile(r"[━─]+"), "-"),
    (re.compile(r" +"), " "),
)
"""What differs from run to run, and widths, which follow from it."""


class Step(NamedTuple):
    """One command, and what it prints."""

    command: str
    output: str


def steps(text: str) -> list[Step]:
    """Read the steps of a page."""
    return [step for block in BLOCK.findall(text) for step in _steps_of(block)]


def play(commands: list[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Type commands into one shell, whose programs are this environment's; return what each printed.

    Raises:
        AssertionError: where not all of them were run.

    """
    mark = uuid.uuid4().hex
    lines = [f'{command}\ncode=$?; echo "{mark}"; (exit $code)\n' for command in commands]
    script = folder / "tutorial.sh"
    script.write_text("".join(lines))
    programs = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", str(script)],
        env={**environment, "PATH": programs},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    *printed, rest = done.stdout.split(f"{mark}\n")
    assert not rest, done.stderr
    assert len(printed) == len(commands), done.stderr
    assert not COMPLAINT.search(done.stderr), done.stderr
    return ["".join(f"{line.rstrip()}\n" for line in text.splitlines()) for text in printed]


def comparable(text: str) -> list[str]:
    """Return a text's lines without what differs from run to run."""
    for pattern, instead in DRAWN:
        text = pattern.sub(instead, text)
    return [line.strip() for line in text.splitlines()]


def written(text: str, printed: list[str]) -> str:
    """Return a page with what was printed, where that is not what the page shows, times and widths aside."""
    outputs = iter(printed)

    def again(block: re.Match[str]) -> str:
        return "".join(f"$ {step.command}\n{_newer(step.output, next(outputs))}" for step in _steps_of(block[0]))

    return BLOCK.sub(again, text)


def _newer(shown: str, printed: str) -> str:
    return shown if comparable(shown) == comparable(printed) else printed


def _steps_of(block: str) -> list[Step]:
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [Step(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def main() -> None:
    """Write the page's outputs anew."""
    services = Services({})
    own = {
        "PROJECTOR_DATABASE_URL": services.database_url,
        "PROJECTOR_KAFKA_BOOTSTRAP_SERVERS": services.kafka_bootstrap_servers,
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("PROJECTOR_")}
    try:
        with tempfile.TemporaryDirectory() as folder:
            text = PAGE.read_text()
            printed = play([step.command for step in steps(text)], {**others, **own}, Path(folder))
    finally:
        services.close()
    PAGE.write_text(written(text, printed))


if __name__ == "__main__":
    main()
