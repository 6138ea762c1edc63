"""`events` as an installed command, and as `python -m events`."""

from events.runtime.entry import start


def main() -> None:
    """Run the program."""
    start("events")


if __name__ == "__main__":
    main()
