"""What CONTRIBUTING.md sends a reader to is there: files, names in files, make targets, and the hooks' commands."""

import re
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).parent.parent.parent
PAGE: Final = (ROOT / "CONTRIBUTING.md").read_text()
SPAN: Final = re.compile(r"`([^`\n]+)`")
LINK: Final = re.compile(r"\]\(([^)#\s]+)")
PATH: Final = re.compile(r"\.?[\w.-]+(/[\w.-]+)*/?")
NAMES_IN: Final = re.compile(r"((?:`\w+`(?:,|\s+and|\s+in)\s+)+)`([\w/.-]+\.(?:py|sql))`")
SUFFIXES: Final = (".py", ".sql", ".md", ".toml", ".yaml", ".lock", ".example")
MIGRATIONS: Final = "projector/database/migrations/versions"
TARGETS: Final = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_each_path_exists() -> None:
    named = {
        span for span in SPAN.findall(PAGE) if PATH.fullmatch(span) and ("/" in span or Path(span).suffix in SUFFIXES)
    }
    named |= {link for link in LINK.findall(PAGE) if "://" not in link}
    assert len(named) > 60
    for path in named:
        places = [ROOT / path, ROOT / MIGRATIONS / path]
        assert any(place.exists() for place in places) or path in {"conftest.py", "cli.py", "__init__.py"}, path


def test_each_name_is_in_its_file() -> None:
    found = [(name, path) for names, path in NAMES_IN.findall(PAGE) for name in re.findall(r"`(\w+)`", names)]
    assert len(found) > 20
    for name, path in found:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text()), f"{path} has no {name}"


def test_each_target_exists_and_each_target_of_the_ci_is_explained() -> None:
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", PAGE, re.MULTILINE))
    assert named <= TARGETS
    assert set(re.findall(r"^make ([a-z-]+)", (ROOT / ".ci/run").read_text(), re.MULTILINE)) <= named


def test_the_hooks_call_the_targets_that_the_page_names() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert local["repo"] == "local", "a hook of another repository would be fetched"
    for hook in local["hooks"]:
        assert hook["language"] == "system"
        make, target = hook["entry"].split()
        assert (make, target in TARGETS) == ("make", True)
        assert f"`make {target}`" in PAGE
