"""The start of a program: if it cannot even be loaded, it ends like any defect, and not with Python's exit code 1."""

import sys
import traceback
from importlib import import_module
from typing import Final

EXIT_DEFECT: Final = 70  # as in `events.runtime.boundary`, which may itself fail to load


def start(program: str) -> None:
    """Load a program's commands and run them; this uses only the standard library, as anything else may be missing."""
    try:
        main = import_module(f"{program}.cli").main
    except Exception as error:  # noqa: BLE001 - this is the boundary
        traceback.print_exc()
        reason = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"{program}: cannot be loaded, exit code {EXIT_DEFECT}: {reason}; install it again\n")
        sys.exit(EXIT_DEFECT)
    main()
