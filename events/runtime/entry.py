"""How a program begins: what cannot even be loaded ends it like every defect, and not with Python's own 1."""

import sys
import traceback
from importlib import import_module
from typing import Final

EXIT_DEFECT: Final = 70  # as in `events.runtime.boundary`, which may be what cannot be loaded


def start(program: str) -> None:
    """Load a program's commands and run them; of the standard library alone, since anything else may be missing."""
    try:
        main = import_module(f"{program}.cli").main
    except Exception as error:  # noqa: BLE001 - this is the boundary
        traceback.print_exc()
        said = (
            f"{program}: cannot be loaded, exit code {EXIT_DEFECT}: {type(error).__name__}: {error}; install it anew\n"
        )
        sys.stderr.write(said)
        sys.exit(EXIT_DEFECT)
    main()
