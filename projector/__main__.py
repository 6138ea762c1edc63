"""`projector` as an installed command, and as `python -m projector`."""

from events.runtime.entry import start


def main() -> None:
    """Run the program."""
    start("projector")


if __name__ == "__main__":
    main()
