"""Which services the tests of this process use, be it alone or one of a session's workers.

Nothing is started here: a session of unit tests starts no server, however many workers it has.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from events.runtime.settings import PREFIX
from projector.sandbox.sandbox import throwaway
from tests.support.services import Services

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

GIVEN: Final = {name: os.environ.pop(name) for name in sorted(os.environ) if name.startswith(PREFIX)}
"""The shell's own settings point the resolver at services, and reach no test."""

SHARED: Final = pytest.StashKey[str]()
"""The folder of the sandbox that all workers use; it ends with the session, even if that is killed."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Make the folder before there are workers."""
    stack = ExitStack()
    config.add_cleanup(stack.close)
    config.stash[SHARED] = str(stack.enter_context(throwaway(started=False, durable=False)).folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: "WorkerController") -> None:
    """Hand a worker the folder, and the settings that are no longer in the environment it inherits."""
    node.workerinput |= {"given": GIVEN, "shared": node.config.stash[SHARED]}


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> Iterator[Services]:
    handed = getattr(request.config, "workerinput", None)
    found = Services(handed["given"], Path(handed["shared"])) if handed else Services(GIVEN)
    yield found
    found.close()
