"""What each role may do is what the page on roles says, table by table, after every `init`."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from psycopg import Connection
from pydantic import ValidationError

from events.runtime.settings import Settings
from projector.database.roles import NAME_BYTES_MAX, ROLES, role_of
from tests.integration.security.conftest import OWNER, Deployed, upgrade

ROOT: Final = Path(__file__).parents[3]
PAGE: Final = ROOT / "docs" / "how-to" / "roles.md"
ORDER: Final = ("select", "insert", "update", "delete", "truncate", "trigger")
TABLE_GRANTS: Final = """
SELECT lower(a.privilege_type)
FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
WHERE c.oid = %(table)s::regclass AND a.grantee = %(role)s::regrole
"""
COLUMN_GRANTS: Final = """
SELECT lower(x.privilege_type), array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) x
WHERE a.attrelid = %(table)s::regclass AND x.grantee = %(role)s::regrole
GROUP BY 1
"""
CHANGEABLE: Final = """
SELECT array_agg(a.attname::text ORDER BY a.attnum)
FROM pg_attribute a
WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND a.attgenerated = '' AND a.attidentity = ''
  AND NOT EXISTS (SELECT FROM pg_index i
                  WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey))
"""
WIDER: Final = (
    "GRANT UPDATE, TRUNCATE, TRIGGER ON meter_balances TO {backfill}",
    "GRANT SELECT ON dead_letters TO PUBLIC",
    "GRANT UPDATE ON customers TO {reader}",
    "GRANT SELECT (value) ON dead_letters TO {reader}",
    "GRANT CREATE ON SCHEMA {schema} TO {backfill}",
    "REVOKE INSERT ON invoices FROM {projector}",
)


def test_every_table_is_decided_on_and_the_page_says_how(deployed: Deployed) -> None:
    """A table that somebody adds fails here until it stands in the page, and in `roles.sql` as the page says."""
    with deployed.connected(OWNER) as connection:
        assert _granted(connection, deployed) == _written()


def test_an_init_takes_back_what_was_granted_beside_and_gives_what_is_missing(deployed: Deployed) -> None:
    schema = deployed.settings.schema_name
    names = {"schema": schema, **{role: f'"{deployed.group(role)}"' for role in ROLES}}
    with deployed.connected(OWNER) as connection:
        for statement in WIDER:
            connection.execute(statement.format(**names).encode())
        assert _granted(connection, deployed) != _written()
        assert upgrade(deployed.settings).granted.roles == [deployed.group(role) for role in ROLES]
        assert _granted(connection, deployed) == _written()
        (create,) = connection.execute(
            "SELECT has_schema_privilege(%s, %s, 'CREATE')", (deployed.group("backfill"), schema)
        ).fetchone() or (None,)
        assert create is False
        everybody = "SELECT has_table_privilege('public', 'dead_letters', 'SELECT')"
        assert connection.execute(everybody).fetchone() == (False,)
        assert upgrade(deployed.settings, roles=True) == upgrade(deployed.settings)


def test_an_init_without_roles_makes_none(deployed: Deployed) -> None:
    other = deployed.settings.model_copy(update={"schema_name": f"{deployed.settings.schema_name}_other"})
    assert upgrade(other).granted.roles == []
    with deployed.connected(OWNER) as connection:
        made = connection.execute("SELECT rolname FROM pg_roles WHERE strpos(rolname, %s) > 0", (other.schema_name,))
        assert made.fetchall() == []


def test_no_two_schemas_of_a_server_share_a_role() -> None:
    """PostgreSQL cuts a longer name off, and two would be one; so would they where a part could end elsewhere."""
    longest = "s" * 53
    assert Settings(_env_file=None, PROJECTOR_SCHEMA=longest).schema_name == longest
    with pytest.raises(ValidationError):
        Settings(_env_file=None, PROJECTOR_SCHEMA=f"{longest}s")
    databases = ("a", "a.b", "b", "a_b", "pg_x", "x" * 63, f"{'x' * 62}y", "ü" * 31)
    places = [(database, schema) for database in databases for schema in ("b", "a_b", longest, "billing_projector")]
    names = {role_of(*place, role) for place in places for role in ROLES}
    assert len(names) == len(places) * len(ROLES)
    assert all(len(name.encode()) <= NAME_BYTES_MAX and not name.startswith("pg_") for name in names)
    assert role_of("utility", "billing", "reader") == "utility.billing.reader"


def _written() -> dict[str, list[str]]:
    """Read the page's table: a table's name to a cell for each role."""
    section = PAGE.read_text().partition("## Rights\n")[2].partition("\n## ")[0]
    rows = [row.split(" | ") for row in re.findall(r"^\| (`\w+`.*) \|$", section, re.MULTILINE)]
    header, *body = rows
    assert header == ["`table`", *(f"`{role}`" for role in ROLES)]
    return {table.strip("`"): cells for table, *cells in body}


def _granted(connection: Connection[Any], deployed: Deployed) -> dict[str, list[str]]:
    schema = deployed.settings.schema_name
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,)).fetchall()
    groups = [deployed.group(role) for role in ROLES]
    return {table: [_cell(connection, f"{schema}.{table}", group) for group in groups] for (table,) in tables}


def _cell(connection: Connection[Any], table: str, role: str) -> str:
    where = {"table": table, "role": f'"{role}"'}
    whole = sorted((kind for (kind,) in connection.execute(TABLE_GRANTS, where)), key=ORDER.index)
    every = connection.execute(CHANGEABLE, where).fetchone()
    parts = [
        kind if (columns,) == every else f"{kind} of {', '.join(columns)}"
        for kind, columns in connection.execute(COLUMN_GRANTS, where)
    ]
    return "; ".join([*([", ".join(whole)] if whole else []), *parts]) or "-"
