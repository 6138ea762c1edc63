"""`make mutants`: change the code in a thousand small ways, one at a time, and see which change no test notices.

What is changed and which tests look on stands in `pyproject.toml`; what is left unnoticed, and why, in
`docs/explanation/mutation.md`. One PostgreSQL serves all, since every mutant is a process of its own. Arguments are
mutants' names with asterisks (`projector.consume.merge*`), by default all; HYPOTHESIS_PROFILE does not matter here.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from projector.sandbox.sandbox import throwaway

ROOT: Final = Path(__file__).parent.parent
MUTMUT: Final = str(Path(sys.executable).parent / "mutmut")


def main(names: list[str]) -> int:
    """Run the mutants, then list those that survived or that no test reaches; fail where there are any."""
    with throwaway(started=False) as sandbox:
        sandbox.postgres.start()
        environment = {**os.environ, "PROJECTOR_DATABASE_URL": sandbox.postgres.url}
        ran = subprocess.run([MUTMUT, "run", *names], cwd=ROOT, env=environment, check=False)
    left = subprocess.run([MUTMUT, "results"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    sys.stdout.write(left)
    return ran.returncode or bool(left.strip())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
