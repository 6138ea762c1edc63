"""House rules that run. An exception is listed with its reason, and one that is no longer needed fails too."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PROGRAMS: Final = ("events", "projector", "backfill")
FUNCTION_LINES_MAX: Final = 45
FILE_LINES_MAX: Final = 250
TEXT_SUFFIXES: Final = {".py", ".sql", ".md", ".toml", ".yml", ".lock", ".ini", ".sha256", ".txt", ".json", ".html", ""}

LONG_FUNCTIONS: Final[dict[str, str]] = {}
"""`path:name` and the argument for its length."""

LONG_FILES: Final[dict[str, str]] = {}
"""The path, and the argument for its length."""

WRITERS: Final[dict[str, str]] = {}
"""Python files outside the migrations whose text changes rows, and why that is no second writer of a table."""

FOLDERS: Final = sorted(
    {file.parent.relative_to(ROOT).as_posix() for program in PROGRAMS for file in (ROOT / program).rglob("*.py")}
)
MAP_NAMES: Final = re.compile(r"^ *((?:[a-z_]+, *)*[a-z_]+,?)(?=  |$)", re.MULTILINE)
"""The first column of a map: names between commas, then two spaces or more, or the end where the list goes on."""

WRITE: Final = re.compile(r"\b(INSERT\s+INTO|UPDATE\s+\"?\w+\"?\s+SET|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE)\b")
STATEMENT: Final = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
PARTS: Final = re.compile(r"^-- (?:with|fill): (.+)$", re.MULTILINE)
SETTING: Final = re.compile(r"^SET (?!LOCAL )\w+ (=|TO) ")
GIVING_UP: Final = re.compile(r"\btime\.sleep\(|\bpytest\.(skip|xfail|importorskip)\b|\bmark\.(skip|skipif|xfail)\b")
HOSTS: Final = re.compile(r"pypi[.]org|pythonhosted[.]org|maven[.]apache[.]org|npmjs[.]org")


def test_functions_are_short() -> None:
    long = {
        f"{_name(file)}:{node.name}"
        for file in _python()
        for node in ast.walk(_tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _lines(node) > FUNCTION_LINES_MAX
    }
    assert long == LONG_FUNCTIONS.keys()


def test_files_are_short() -> None:
    long = {_name(file) for file in _python() if len(file.read_text().splitlines()) > FILE_LINES_MAX}
    assert long == LONG_FILES.keys()


def test_every_statement_is_used() -> None:
    for program in PROGRAMS:
        words = {text for file in _python(program) for text in _strings(file)}
        for file in (ROOT / program).rglob("*.sql"):
            text = file.read_text()
            parts = {part.strip() for line in PARTS.findall(text) for part in line.split(",")}
            unused = set(STATEMENT.findall(text)) - words - parts
            assert not unused, f"{_name(file)}: no code of {program} names {sorted(unused)}"


def test_a_sql_file_lies_beside_the_module_that_loads_it() -> None:
    for program in PROGRAMS:
        for file in (ROOT / program).rglob("*.sql"):
            call = f'statements("{_name(file.parent).replace("/", ".")}", "{file.name}"'
            loaders = [
                each for each in file.parent.glob("*.py") if re.search(rf"{re.escape(call)}[,)]", each.read_text())
            ]
            assert len(loaders) == 1, f"{_name(file)} is loaded beside it by {[_name(each) for each in loaders]}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_folder_has_a_map_of_what_is_in_it(folder: str) -> None:
    """The docstring of `__init__.py` names each module and each folder within, and nothing that is not there."""
    init = ROOT / folder / "__init__.py"
    assert init.exists(), f"{folder} has no __init__.py"
    text = ast.get_docstring(_tree(init)) or ""
    there = {each.stem for each in init.parent.glob("*.py") if each.stem.isidentifier() and each.stem[:2] != "__"}
    there |= {each.name for each in init.parent.iterdir() if each.is_dir() and any(each.glob("*.py"))}
    named = {name for names in MAP_NAMES.findall(text) for name in names.replace(" ", "").split(",") if name}
    assert named == there, f"{_name(init)}: the map and the folder differ in {sorted(named ^ there)}"


def test_only_sql_files_and_migrations_write_tables() -> None:
    writers = {
        _name(file)
        for file in _python(*PROGRAMS)
        if "migrations" not in file.parts and any(WRITE.search(text) for text in _strings(file))
    }
    assert writers == WRITERS.keys()


def test_connections_to_the_database_are_made_in_one_place() -> None:
    """So that none is without its pins: the engine's are made there as well, and `SET` outlives no transaction."""
    makers = {_name(file) for file in _python(*PROGRAMS) if "psycopg.connect(" in file.read_text()}
    assert makers == {"projector/database/connections.py"}
    assert {_name(file) for file in _python(*PROGRAMS) if "create_engine(" in file.read_text()} == {
        "projector/database/engines.py"
    }
    setting = {_name(file) for file in _python(*PROGRAMS) if any(SETTING.search(text) for text in _strings(file))}
    assert not setting, "`projector.database.connections.tune` looks whether it took"


def test_lines_for_people_are_printed_in_one_place() -> None:
    """There they are wrapped between words, and what a terminal would obey is escaped; `typer.echo` does neither."""
    for file in _python(*PROGRAMS):
        assert "typer.echo(" not in file.read_text(), f"{_name(file)}: `say`, `say_whole` or `say_on_stderr`"


def test_tests_neither_sleep_nor_give_up() -> None:
    for file in _python("tests"):
        if file != Path(__file__):
            found = GIVING_UP.search(file.read_text())
            assert found is None, f"{_name(file)}: {found and found[0]}: await a condition, or make the test pass"


def test_no_file_names_a_registry() -> None:
    """Where packages come from is the installer's setting, never the repository's."""
    for file in _texts():
        found = HOSTS.search(file.read_text(errors="replace"))
        assert found is None, f"{_name(file)} names {found and found[0]}"


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_rules_look_at_something(program: str) -> None:
    assert any(_python(program))


def _python(*folders: str) -> Iterator[Path]:
    for folder in folders or (*PROGRAMS, "tests"):
        yield from (ROOT / folder).rglob("*.py")


def _texts() -> Iterator[Path]:
    """Yield the repository's text files; what tools leave behind lies in folders that begin with a dot."""
    folders = [*PROGRAMS, "tests", "docs", ".ci"]
    for file in (*ROOT.iterdir(), *(file for folder in folders for file in (ROOT / folder).rglob("*"))):
        if file.is_file() and file.suffix in TEXT_SUFFIXES and "__pycache__" not in file.parts:
            yield file


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), filename=str(file))


def _strings(file: Path) -> Iterator[str]:
    """Yield every string of the code, without docstrings."""
    prose = {id(node.value) for node in ast.walk(_tree(file)) if isinstance(node, ast.Expr)}
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
