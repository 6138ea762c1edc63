"""Remove a throw-away sandbox when its owner closes this process's standard input, or has ended."""

import sys
from pathlib import Path

from projector.sandbox.sandbox import Sandbox


def main() -> None:
    """Remove the sandbox whose folder is the first argument."""
    sandbox = Sandbox(Path(sys.argv[1]))
    sys.stdin.buffer.read()
    sandbox.destroy()


if __name__ == "__main__":
    main()
