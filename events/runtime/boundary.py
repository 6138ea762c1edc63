"""The process boundary: whatever a command raises becomes one line on standard error, and an exit code that tells.

    0    done
    1    found something, or partly failed: only a command that has done its work says so, never an accident
    2    could not start, or not finish, for a reason that somebody can mend; the line names it
    3    paused
    70   a defect of the program (EX_SOFTWARE): nobody foresaw it, and the log has the traceback
    130  interrupted from the keyboard (128 + SIGINT)
    141  whoever read the output has gone (128 + SIGPIPE), so that what was said is not all

A command ends with 0 to 3 by returning or by `typer.Exit`, or by a `ProgramError`; that an exception, a library's
`sys.exit`, or a thread that dies comes out as one of these is what this module is here to prevent.
"""

import errno
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO, cast

import typer

from events.runtime.console import printable
from events.runtime.errors import ProgramError

EXIT_DEFECT: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
SIGNALLED: Final = 128  # from here on exit codes say which signal ended a program
MACHINE: Final = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),  # a disk
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),  # room for more
    *(
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    ),  # a place that was named
}
"""What the machine, or a place on it that a user has chosen, does not allow: no defect of ours."""
Usage: Final[type[Exception]] = typer.BadParameter.__mro__[2]
"""What is wrong with the arguments: click's `ClickException`, which typer brings along."""


def run(program: str, app: typer.Typer) -> None:
    """Run a typer app on the process's arguments, and end the process."""
    _open_what_is_closed()
    with _defects_of_threads(program) as found:
        code = _ended(program, lambda: _invoke(program, app))
    sys.exit(EXIT_DEFECT if found else code)


def _invoke(program: str, app: typer.Typer) -> int:
    """Run the command; output that cannot be written fails here, and not while the interpreter shuts down."""
    try:
        command = typer.main.get_command(app)
        with command.make_context(program, sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except Usage as error:
        from typer.rich_utils import rich_format_error  # noqa: PLC0415 - loads what only a complaint needs

        rich_format_error(cast("Any", error))
        return ProgramError.exit_code
    finally:
        sys.stdout.flush()
    return 0


def _ended(program: str, command: Callable[[], int]) -> int:  # noqa: PLR0911 - the table above
    """Run a command, and return how it ended."""
    try:
        return command()
    except ProgramError as error:
        _say(f"{program}: {' '.join(printable(str(error)).split())}")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (typer.Abort, EOFError):
        _say(f"{program}: not confirmed, nothing was begun")
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno == errno.EPIPE and _reader_has_gone():
            return EXIT_PIPE
        if error.errno not in MACHINE:
            return _defect(program, error)
        _say(f"{program}: {printable(f'{error.filename}: ' if error.filename else '')}{error.strerror}")
        return ProgramError.exit_code
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich's own way, of a bar on standard error
            return EXIT_PIPE
        return end.code if isinstance(end.code, int) and end.code > SIGNALLED else _defect(program, end)
    except BaseException as error:  # noqa: BLE001 - this is the boundary
        return _defect(program, error)
    finally:
        _drop_what_cannot_be_written()


def _defect(program: str, error: BaseException) -> int:
    """Tell a defect: the traceback to the log, one line to whoever reads; neither may fail in turn."""
    kind = type(error).__name__
    try:
        from events.runtime import defects  # noqa: PLC0415 - loads what only a defect needs

        said = defects.record(program, error)
    except BaseException:  # noqa: BLE001 - no memory, say, or nowhere to write
        said = kind
    _say(f"{program}: internal error, exit code {EXIT_DEFECT}: {said}; this is a defect, please report it with its log")
    return EXIT_DEFECT


@contextmanager
def _defects_of_threads(program: str) -> Iterator[list[int]]:
    """Collect what ends threads: Python would print it, and have the process end as if nothing had been."""
    found: list[int] = []

    def died(thread: threading.ExceptHookArgs) -> None:
        if thread.exc_value is not None:
            found.append(_defect(program, thread.exc_value))

    before, threading.excepthook = threading.excepthook, died
    try:
        yield found
    finally:
        threading.excepthook = before


def _say(line: str) -> None:
    with suppress(OSError, ValueError):  # standard error is closed, or full
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _reader_has_gone() -> bool:
    """Tell whether it is our output that nobody reads, and not a pipe of our own making."""
    return any(_is_broken(stream) for stream in (sys.stdout, sys.stderr))


def _is_broken(stream: TextIO) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
        return any(happened & select.POLLERR for _, happened in poll.poll(0))
    except (OSError, ValueError):  # it has no descriptor
        return False


def _open_what_is_closed() -> None:
    """Give each standard stream that the shell has closed (`>&-`) a place that takes all and gives nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for the process's life


def _drop_what_cannot_be_written() -> None:
    """Let what is still buffered go nowhere where that has to be, so that the interpreter's own last flush succeeds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor
                os.dup2(nowhere.fileno(), stream.fileno())
