"""`backfill` as an installed command, and as `python -m backfill`."""

from events.runtime.entry import start


def main() -> None:
    """Run the program."""
    start("backfill")


if __name__ == "__main__":
    main()
