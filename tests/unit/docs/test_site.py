"""The site's links lead where the repository's do; a page that has a browser fetch from elsewhere is refused."""

import tomllib
from pathlib import Path

import pytest

from tests.docs.check_site import problems
from tests.docs.site_links import rewritten

REPOSITORY = "https://example.org/project"
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("link", "source", "uri", "expected"),
    [
        ("#here", "docs/index.md", "index.md", "#here"),
        ("https://example.net/a.md", "docs/index.md", "index.md", "https://example.net/a.md"),
        ("reference/events.md#keys", "docs/index.md", "index.md", "reference/events.md#keys"),
        ("../reference/events.md", "docs/how-to/roles.md", "how-to/roles.md", "../reference/events.md"),
        ("../../events/cli.py", "docs/how-to/roles.md", "how-to/roles.md", f"{REPOSITORY}/blob/main/events/cli.py"),
        ("../../SECURITY.md#reporting", "docs/how-to/roles.md", "how-to/roles.md", "../security.md#reporting"),
        ("docs/how-to/roles.md#grants", "SECURITY.md", "security.md", "how-to/roles.md#grants"),
        ("tests/e2e/test_audit.py", "SECURITY.md", "security.md", f"{REPOSITORY}/blob/main/tests/e2e/test_audit.py"),
        ("CHANGELOG.md", "SECURITY.md", "security.md", "changelog.md"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_into_the_repository(
    link: str, source: str, uri: str, expected: str
) -> None:
    assert rewritten(link, source, uri, REPOSITORY) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("index.html", '<script src="https://cdn.example/a.js"></script>'),
        ("index.html", '<link rel="stylesheet" href="//fonts.example/css">'),
        ("index.html", '<link rel="preconnect" href="https://fonts.example">'),
        ("index.html", '<img src="https://badges.example/build.svg">'),
        ("index.html", '<p style="background: url(https://example.net/a.png)">'),
        ("index.html", "<style>@import 'https://example.net/a.css';</style>"),
        ("index.html", '<pre class="mermaid"><code>flowchart</code></pre>'),
        ("index.html", '<a data-md-component="source" href="https://github.com/a/b">b</a>'),
        ("style.css", '@import "https://example.net/a.css";'),
        ("style.css", "a { background: url('//example.net/a.png') }"),
        ("search.js", 'fetch("https://example.net/index.json")'),
    ],
)
def test_a_site_that_fetches_from_elsewhere_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "page.html").write_text("<p>")
    (tmp_path / name).write_text(text)
    [problem] = problems(tmp_path)
    assert problem.startswith(name)


def test_a_site_with_nothing_but_links_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="https://example.net">there</a><img src="a.png"><script src="b.js">')
    (tmp_path / "b.js").write_text('document.createElementNS("http://www.w3.org/2000/svg", "svg")')
    assert not list(problems(tmp_path))


def test_the_site_and_the_package_name_one_repository() -> None:
    source = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    assert f"repo_url: {source}\n" in (ROOT / "mkdocs.yml").read_text()


def test_no_page_is_no_site(tmp_path: Path) -> None:
    assert list(problems(tmp_path))
