"""SQL as SQL: named statements read from the `.sql` files of a package."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

NAME_LINE: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)$", re.MULTILINE)


@cache
def statements(package: str, file: str) -> Mapping[str, str]:
    """Read one file: each statement under a line `-- name: x`; what stands above the first is prose.

    Raises:
        ValueError: where a name is given twice or the file holds no statement.

    """
    _, *parts = NAME_LINE.split(files(package).joinpath(file).read_text("utf-8"))
    names, bodies = parts[::2], parts[1::2]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{package}/{file}: statements need names, each its own: {names}")
    return MappingProxyType({name: body.strip() for name, body in zip(names, bodies, strict=True)})
