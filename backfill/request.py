"""From the options that were typed to the run that they ask for."""

from backfill.execution.runner import Request
from backfill.execution.worker import RunTuning
from backfill.option_values import fraction, ids, moment
from backfill.options import RunOptions
from backfill.reports.money import threshold
from backfill.reports.output import ReportOptions, require_possible
from backfill.runs.phases import Command
from backfill.runs.selection import Selection
from events.runtime.errors import InputError


def request(command: Command, options: RunOptions, *, dry_run: bool = False) -> Request:
    """Read the options.

    Raises:
        InputError: naming the option that is wrong.
        SettingError: the report's format needs a package that is not installed.

    """
    selection = Selection(
        customers=ids("--customer", options.customer),
        meters=ids("--meter", options.meter),
        since=moment("--since", options.since),
        sample=fraction("--sample", options.sample),
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
