"""The exit codes of `backfill`, and which of them a run ends with."""

from typing import Final

from backfill.runs.store import Run

EXIT_CLEAN: Final = 0
EXIT_FOUND: Final = 1  # a check found drift; a repair could not repair something
EXIT_UNCHECKED: Final = 2  # a chunk of a check failed, or nothing is known of the customers and meters that were named
EXIT_PAUSED: Final = 3  # by a signal, or cancelled


def exit_code(run: Run) -> int:
    """Return the exit code of a check, a rebuild or a migration step."""
    tally = run.tally
    checks = run.command == "drift-check"
    if run.state == "failed":
        return EXIT_UNCHECKED if checks else EXIT_FOUND
    if run.state != "finished":
        return EXIT_PAUSED
    if run.matched_nothing:
        return EXIT_UNCHECKED
    if not checks:
        return EXIT_FOUND if tally.failed or tally.unrepaired else EXIT_CLEAN
    if tally.failed:
        return EXIT_UNCHECKED
    return EXIT_FOUND if tally.drifted else EXIT_CLEAN
