"""The process boundary: every exception becomes one line on standard error and an exit code.

    0    done
    1    found something, or partly failed; only a command that has done its work returns this, never an accident
    2    could not start or finish, for a reason that the user can correct; the line names it
    3    paused
    70   a defect of the program (EX_SOFTWARE); the traceback is in the log
    130  interrupted from the keyboard (128 + SIGINT)
    141  the reader of the output has closed its end (128 + SIGPIPE), so the output is incomplete

A command ends with 0 to 3 by returning, by `typer.Exit` or by a `ProgramError`. This module ensures that any other
exception, a library's `sys.exit` or a thread that dies never ends the program with one of these codes.
"""

import errno
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TextIO

import typer

from events.runtime import completion
from events.runtime.console import printable
from events.runtime.errors import ProgramError
from events.runtime.help_pages import use_plain_help
from events.runtime.stop import SIGNALLED

EXIT_DEFECT: Final = 70
EXIT_INTERRUPTED: Final = 130
EXIT_PIPE: Final = 141
MACHINE: Final = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),  # a disk
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),  # resources
    *(
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    ),  # a path that was given
}
"""What the machine, or a path that the user has chosen, does not allow; not a defect."""
Usage: Final[type[Exception]] = typer.BadParameter.__mro__[2]
"""Wrong arguments: click's `ClickException`, which typer includes."""


def run(program: str, app: typer.Typer) -> None:
    """Run a typer app on the process's arguments, and end the process."""
    _replace_closed_streams()
    with _report_defects_of_threads(program) as found:
        code = _exit_code(program, lambda: _invoke(program, app))
    sys.exit(EXIT_DEFECT if found else code)


def _invoke(program: str, app: typer.Typer) -> int:
    """Run the command; output that cannot be written fails here, and not while the interpreter shuts down."""
    command = typer.main.get_command(app)
    use_plain_help(command)
    try:
        if asked := os.environ.get(completion.variable(program)):
            return completion.answer(program, app, asked)
        with command.make_context(program, sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except Usage as error:
        return _usage(program, command, error)
    finally:
        sys.stdout.flush()
    return 0


def _usage(program: str, command: Any, error: Any) -> int:  # noqa: ANN401 - click's, which typer does not export
    """Say what is wrong with the arguments, and which help page has the right ones; without any, print the page."""
    name = _named(program, sys.argv[1:], command)
    if type(error).__name__ == "NoArgsIsHelpError":
        _write_line(error.format_message())
        return ProgramError.exit_code
    message = " ".join(printable(error.format_message()).split()).rstrip(".")
    _write_line(f"{name}: {message}{' ' if message.endswith('?') else '; '}`{name} --help` shows what it takes")
    return ProgramError.exit_code


def _named(program: str, arguments: Sequence[str], command: Any) -> str:  # noqa: ANN401 - as above
    """Return the words that name the innermost command."""
    words = [program]
    for word in arguments:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        words.append(word)
    return " ".join(words)


def _exit_code(program: str, command: Callable[[], int]) -> int:  # noqa: PLR0911 - the table above
    """Run a command, and return its exit code."""
    try:
        return command()
    except ProgramError as error:
        _write_line(f"{program}: {' '.join(printable(str(error)).split())}")
        return error.exit_code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (typer.Abort, EOFError):
        _write_line(f"{program}: not confirmed: nothing was started")
        return EXIT_INTERRUPTED
    except OSError as error:
        if error.errno == errno.EPIPE and _reader_has_closed():
            return EXIT_PIPE
        if error.errno not in MACHINE:
            return _defect(program, error)
        _write_line(f"{program}: {printable(f'{error.filename}: ' if error.filename else '')}{error.strerror}")
        return ProgramError.exit_code
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # rich, whose progress bar on standard error was closed
            return EXIT_PIPE
        return end.code if isinstance(end.code, int) and end.code > SIGNALLED else _defect(program, end)
    except BaseException as error:  # noqa: BLE001 - this is the boundary
        return _defect(program, error)
    finally:
        _discard_unwritable_output()


def _defect(program: str, error: BaseException) -> int:
    """Report a defect: the traceback in the log, one line for people; neither may fail itself."""
    kind = type(error).__name__
    try:
        from events.runtime import defects  # noqa: PLC0415 - loads what only a defect needs

        description = defects.record(program, error)
    except BaseException:  # noqa: BLE001 - for example no memory, or standard error is closed
        description = kind
    report = "this is a defect, please report it with its log"
    _write_line(f"{program}: internal error, exit code {EXIT_DEFECT}: {description}; {report}")
    return EXIT_DEFECT


@contextmanager
def _report_defects_of_threads(program: str) -> Iterator[list[int]]:
    """Collect exceptions that end threads; Python would print them, and end the process with 0."""
    found: list[int] = []

    def died(thread: threading.ExceptHookArgs) -> None:
        if thread.exc_value is not None:
            found.append(_defect(program, thread.exc_value))

    before, threading.excepthook = threading.excepthook, died
    try:
        yield found
    finally:
        threading.excepthook = before


def _write_line(line: str) -> None:
    with suppress(OSError, ValueError):  # standard error is closed, or full
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _reader_has_closed() -> bool:
    """Tell whether the broken pipe is our output, and not a pipe that we created."""
    return any(_is_broken(stream) for stream in (sys.stdout, sys.stderr))


def _is_broken(stream: TextIO) -> bool:
    poll = select.poll()
    try:
        poll.register(stream.fileno(), 0)
        return any(happened & select.POLLERR for _, happened in poll.poll(0))
    except (OSError, ValueError):  # the stream has no descriptor
        return False


def _replace_closed_streams() -> None:
    """Replace each standard stream that the shell has closed (`>&-`) by the null device."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - until the process ends


def _discard_unwritable_output() -> None:
    """Redirect a stream that cannot be flushed to the null device, so that the interpreter's last flush succeeds."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a descriptor
                os.dup2(nowhere.fileno(), stream.fileno())
