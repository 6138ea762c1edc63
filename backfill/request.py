"""From the options that were typed to the run that they ask for."""

from collections.abc import Sequence

from backfill.execution.runner import Request
from backfill.execution.worker import RunTuning
from backfill.options import RunOptions
from backfill.reports.money import threshold
from backfill.reports.output import ReportOptions, require_possible
from backfill.runs.phases import Command
from backfill.runs.selection import Selection
from events.contract.limits import BIGINT_MAX
from events.runtime.errors import InputError
from events.runtime.option_values import fraction, moment


def request(command: Command, options: RunOptions, *, dry_run: bool = False) -> Request:
    """Read the options.

    Raises:
        InputError: naming the option that is wrong.
        SettingError: the report's format needs a package that is not installed.

    """
    selection = Selection(
        customers=_ids("--customer", options.customer),
        meters=_ids("--meter", options.meter),
        since=None if options.since is None else moment("--since", options.since),
        sample=None if options.sample is None else fraction("--sample", options.sample),
    )
    if options.resume and (options.chunk_size or not selection.whole):
        raise InputError("--resume: what a run covers, and its chunk size, were set when it began")
    report = ReportOptions(format=options.form, output=options.output, significant=threshold(options.significant))
    require_possible(report)
    return Request(
        command=command,
        dry_run=dry_run,
        chunk_size=options.chunk_size,
        resume=options.resume,
        selection=selection,
        tuning=RunTuning(
            workers=options.workers, rows_per_second_max=options.max_rows_per_second, governed=options.governor
        ),
        report=report,
    )


def _ids(option: str, given: Sequence[int] | None) -> Sequence[int]:
    """Read ids of customers or meters.

    Raises:
        InputError: one of them cannot be an id.

    """
    for key in given or ():
        if not 1 <= key <= BIGINT_MAX:
            raise InputError(f"{option} {key}: not an id; ids are 1 to {BIGINT_MAX}")
    return sorted({*(given or ())})
