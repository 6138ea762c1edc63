"""Words of sentences that contain a number. Pure."""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count and its noun: `1 meter`, `2,000 meters`; a plural that does not just add an s is given."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def agree(count: int, singular: str, plural: str) -> str:
    """Choose the verb of a count: `1 meter differs`, `2 meters differ`."""
    return singular if count == 1 else plural
