"""MkDocs hooks: bring the repository's own pages into the site, and point links to its files at the repository.

Pages link to each other and to source files by relative paths, as a repository's browser shows them. The site holds
the pages of `docs/` and those of `ROOT_PAGES`; whatever else is linked to lies in the repository, at `repo_url`.
"""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

ROOT_PAGES: Final = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}
"""Files at the top of the repository, and where the site has them."""
DOCS: Final = "docs/"
LINK: Final = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")


def on_files(files: Any, config: Any) -> Any:  # noqa: ANN401 - MkDocs calls it with types of its own
    """Add the pages that lie at the top of the repository."""
    from mkdocs.structure.files import File  # noqa: PLC0415 - the environment of `make docs` alone has it

    for name, uri in ROOT_PAGES.items():
        content = (_root(config) / name).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:  # noqa: ANN401, ARG001 - as above
    """Rewrite a page's links for the place that it has in the site."""
    uri: str = page.file.src_uri
    names = {site: name for name, site in ROOT_PAGES.items()}
    source = names.get(uri, DOCS + uri)
    return LINK.sub(lambda link: rewritten(link[0], source, uri, config.repo_url), markdown)


def rewritten(link: str, source: str, uri: str, repository: str) -> str:
    """Return what a link is in the site.

    Args:
        link: as the page has it.
        source: the page's path in the repository.
        uri: the page's path in the site's sources.
        repository: the address of the repository.

    """
    path, mark, anchor = link.partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return link
    target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    inside = ROOT_PAGES.get(target) or (target.removeprefix(DOCS) if target.startswith(DOCS) else None)
    if inside is None:
        return f"{repository}/blob/main/{target}{mark}{anchor}"
    return posixpath.relpath(inside, posixpath.dirname(uri) or ".") + mark + anchor


def _root(config: Any) -> Path:  # noqa: ANN401 - as above
    return Path(config.config_file_path).parent
