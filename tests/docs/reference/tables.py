"""`docs/reference/tables.md`: tables, columns, constraints and functions of a migrated database, from its catalog."""

import json
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from psycopg import Connection
from psycopg.rows import dict_row

from tests.docs.reference.markdown import NOTE, code, table

MEANINGS: Final = Path(__file__).parents[1] / "meanings.json"
"""What each table, column and function means; a column's meaning holds wherever it has no own one."""
KINDS: Final = {"r": "", "v": "A view. "}
GENERATED: Final = {"s": "STORED", "v": "VIRTUAL"}
"""When a generated column is computed: as its row is written, or as it is read."""

RELATIONS: Final = """
SELECT c.oid, c.relname AS name, c.relkind::text AS kind
FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'v')
ORDER BY c.relname
"""
COLUMNS: Final = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
       pg_get_expr(d.adbin, d.adrelid, true) AS expression,
       a.attgenerated::text AS generated, a.attidentity <> '' AS identity
FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
CONSTRAINTS: Final = """
SELECT conname AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint
WHERE conrelid = %(table)s AND contype <> 'n'
ORDER BY contype = 'p' DESC, conname
"""
FUNCTIONS: Final = """
SELECT p.proname AS name, out.name AS column_name, format_type(out.type, NULL) AS type
FROM pg_proc p
CROSS JOIN LATERAL ROWS FROM (unnest(p.proargnames), unnest(p.proallargtypes)) WITH ORDINALITY
    AS out (name, type, place)
WHERE p.pronamespace = %(schema)s::regnamespace
ORDER BY p.proname, out.place
"""

INTRODUCTION: Final = f"""{NOTE}

# Tables

`projector init` creates these in the schema of `PROJECTOR_SCHEMA`. [Set up database roles](../how-to/roles.md#rights)
says who may read and write which. Read them freely; write them only through the programs. A column whose default is
`GENERATED ALWAYS AS` is computed by PostgreSQL from other columns of its row; no statement can give it another value.

"""
FUNCTIONS_INTRODUCTION: Final = """A function takes no argument, returns rows, and is joined like a table:
[Know how far a figure can be trusted](../how-to/trust.md) shows how. It reads with the rights of who calls it.
"""


def page(connection: Connection[Any], schema: str) -> str:
    """Return the page, of the tables that a schema has."""
    meanings = json.loads(MEANINGS.read_text())
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(RELATIONS, {"schema": schema}).fetchall()
        unknown = {each["name"] for each in found} ^ meanings["tables"].keys()
        assert not unknown, f"{MEANINGS.name} has to say what each table holds, and of no other: {sorted(unknown)}"
        names = [(f"[{code(each['name'])}](#{each['name']})", meanings["tables"][each["name"]]) for each in found]
        sections = [_section(cursor, each, meanings) for each in found]
        functions = _functions(cursor.execute(FUNCTIONS, {"schema": schema}).fetchall(), meanings)
    return INTRODUCTION + table(("table", "holds"), names) + "".join(sections) + functions


def _section(cursor: Any, relation: dict[str, Any], meanings: dict[str, Any]) -> str:  # noqa: ANN401 - psycopg's
    name, about = relation["name"], {"table": relation["oid"]}
    columns = cursor.execute(COLUMNS, about).fetchall()
    rows = [
        (code(each["name"]), each["type"], _filled(each), _meaning(meanings["columns"], name, each["name"]))
        for each in columns
    ]
    constraints = cursor.execute(CONSTRAINTS, about).fetchall()
    text = f"\n## {name}\n\n{KINDS[relation['kind']]}{meanings['tables'][name]}.\n\n"
    text += table(("column", "type", "default", "meaning"), rows)
    if constraints:
        held = [(code(each["name"]), code(each["definition"])) for each in constraints]
        text += "\n" + table(("constraint", "definition"), held)
    return text


def _functions(columns: list[dict[str, Any]], meanings: dict[str, Any]) -> str:
    """Return the section of functions: each returns rows, and takes no argument."""
    found = {name: list(rows) for name, rows in groupby(columns, key=itemgetter("name"))}
    unknown = found.keys() ^ meanings["functions"].keys()
    assert not unknown, f"{MEANINGS.name} has to say what each function returns, and of no other: {sorted(unknown)}"
    text = "\n## Functions\n\n" + FUNCTIONS_INTRODUCTION
    for name, rows in found.items():
        text += f"\n### {name}\n\n{meanings['functions'][name]}.\n\n"
        about = [
            (code(row["column_name"]), row["type"], _meaning(meanings["columns"], name, row["column_name"]))
            for row in rows
        ]
        text += table(("column", "type", "meaning"), about)
    return text


def _filled(column: dict[str, Any]) -> str:
    """Say what stands in a column of which nothing is said: null, a default, or what PostgreSQL computes."""
    if column["identity"]:
        return "numbered"
    if column["generated"]:
        return code(f"GENERATED ALWAYS AS ({column['expression']}) {GENERATED[column['generated']]}")
    if column["expression"]:
        return code(column["expression"])
    return "required" if column["required"] else "null"


def _meaning(meanings: dict[str, str], table_name: str, column: str) -> str:
    found = meanings.get(f"{table_name}.{column}") or meanings.get(column)
    assert found, f"{MEANINGS.name} does not say what {table_name}.{column} means"
    return found
