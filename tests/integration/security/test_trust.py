"""Who reads reports may join what tells how far a figure can be trusted, as the page writes it; others may not."""

import re
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection

from projector.database.roles import ROLES
from tests.integration.backfill import history
from tests.integration.security.conftest import OWNER, Deployed, upgrade

ROOT: Final = Path(__file__).parents[3]
EXAMPLES: Final = re.findall(
    r"^```sql\n(.*?)^```$", (ROOT / "docs/how-to/trust.md").read_text(), re.MULTILINE | re.DOTALL
)
FUNCTIONS: Final = ("meter_trust", "customer_trust", "open_findings", "compared_by_name", "last_verified_run")


@pytest.mark.parametrize("role", ROLES)
def test_the_pages_joins_run_under_each_role(deployed: Deployed, role: str) -> None:
    with deployed.connected(OWNER) as owner:
        history.write(owner)
    meters, customers = (each.replace("= billing", f"= {deployed.settings.schema_name}") for each in EXAMPLES)
    with deployed.connected(role) as connection:
        assert [row[0] for row in _rows(connection, meters)] == [1, 2, 3]
        [(owed, proven, written, off)] = _rows(connection, customers)
        assert (owed == written, proven, off) == (True, None, None), "no run has compared anything yet"


def test_nobody_else_executes_them_also_after_a_grant_beside(deployed: Deployed) -> None:
    schema = deployed.settings.schema_name
    with deployed.connected(OWNER) as owner:
        for name in FUNCTIONS:
            owner.execute(f"GRANT EXECUTE ON FUNCTION {name} TO PUBLIC".encode())
        upgrade(deployed.settings)
        for name in FUNCTIONS:
            asked = "SELECT has_function_privilege('public', %s, 'EXECUTE')"
            assert owner.execute(asked, (f"{schema}.{name}()",)).fetchone() == (False,)
    with deployed.connected("reader") as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("CREATE FUNCTION meter_trust(id bigint) RETURNS bigint RETURN id")


def _rows(connection: Connection[Any], example: str) -> list[Any]:
    """Run an example's first statement, then its second, and return what that answers."""
    first, second, _ = re.split(r";[^\n]*\n", example)
    connection.execute(first.encode())
    return connection.execute(second.encode()).fetchall()
