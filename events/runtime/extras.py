"""How to install what only some commands need: the project is on no package index, so an extra is installed from it."""


def how_to_install(extra: str) -> str:
    """Say what to type for an optional extra of the project."""
    return f"run `pip install '.[{extra}]'` in a clone, or `pip install 'FILE.whl[{extra}]'` with a wheel of it"
