"""Every known failure of the three programs, as one tree.

    ProgramError                             one line on standard error, exit code 2: nothing was started
    +- SettingError                          an environment variable or option is wrong; a retry does not help
    +- ServiceUnavailableError               PostgreSQL or Kafka refuses us; a retry does not help
    |  +- ServiceTemporarilyUnavailableError it does not answer, or is not ready; a retry helps
    +- InputError                            a file, line or argument is wrong; the message names the place
    +- StateError                            what is stored does not allow this; the message names a command that does
    +- WorkFailedError                       the work was started and some of it failed; exit code 1

The projector adds its own branches in `projector.errors`. Code below the process boundary raises these, and
catches none of them broadly; `events.runtime.boundary.run` turns them into the line and the exit code.
"""

from typing import ClassVar


class ProgramError(Exception):
    """A failure with a cause the user can act on; its message is one line."""

    exit_code: ClassVar[int] = 2


class SettingError(ProgramError):
    """A setting is missing, unknown or wrong."""


class ServiceUnavailableError(ProgramError):
    """PostgreSQL or Kafka cannot be reached or refuses us."""


class ServiceTemporarilyUnavailableError(ServiceUnavailableError):
    """PostgreSQL or Kafka does not answer; it may again without a change of settings."""


class InputError(ProgramError):
    """An argument, a file or standard input is wrong."""


class StateError(ProgramError):
    """What is stored does not allow the command."""


class WorkFailedError(ProgramError):
    """Work that was started and of which some part failed."""

    exit_code: ClassVar[int] = 1
