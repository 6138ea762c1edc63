"""How busy the machine is: what has to happen soon may take so much longer."""

import os


def busy() -> float:
    """Return how many processes want each core, at least one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
