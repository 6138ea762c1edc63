"""Wait until the owner of a throw-away sandbox has closed our standard input or is gone, then clear up after it."""

import sys
from pathlib import Path

from projector.sandbox.sandbox import Sandbox


def main() -> None:
    """Clear up the sandbox whose folder is the first argument."""
    sandbox = Sandbox(Path(sys.argv[1]))
    sys.stdin.buffer.read()
    sandbox.destroy()


if __name__ == "__main__":
    main()
