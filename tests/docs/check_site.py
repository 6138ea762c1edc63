"""Refuse a built site that would have a browser fetch anything from elsewhere.

Of the standard library alone: `make docs` runs it in the environment that builds the site. A plain link is no fetch.
"""

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

FETCHED: Final = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "audio": ("src",),
    "video": ("src", "poster"),
    "track": ("src",),
    "input": ("src",),
    "use": ("href", "xlink:href"),
    "image": ("href", "xlink:href"),
}
"""Attributes whose address a browser fetches by itself."""
NOT_FETCHED: Final = {"canonical", "alternate", "next", "prev", "author", "license", "me", "edit"}
"""What a `<link>` may say of its address without the browser fetching it."""
ELSEWHERE: Final = re.compile(r"(?:https?:)?//", re.IGNORECASE)
IN_STYLE: Final = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]*)", re.IGNORECASE)
ADDRESS: Final = re.compile(r"(?:https?|wss?)://[^\s\"'`)<>\\]+")
COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
LANGUAGES: Final = "lunr"
"""The theme's folder of scripts for searching in other languages than this site's; no page names one."""

DORMANT: Final = {
    r"https://[\w.]+/mermaid@\d+/dist/mermaid\.min\.js$": re.compile(r'class="[^"]*\bmermaid\b'),
    r"https://api\.github\.com/": re.compile(r'data-md-component="source"'),
    r"https://\$\{": re.compile(r'data-md-component="source"'),
}
"""Patterns of addresses in the theme's scripts, and what a page has to contain before a script fetches from them."""
NOT_ADDRESSES: Final = (
    r"http://www\.w3\.org/",  # names of XML's
    r"https://[\w.]+/resize-observer-polyfill$",  # for browsers without ResizeObserver, which none has been since 2020
    r"https://bit\.ly/2s3ChXG",  # within a warning of lunr's
    r"https://clipboardjs\.com/",
)
"""Patterns of what stands in the theme's scripts like an address, and why no browser fetches it."""


class Fetches(HTMLParser):
    """Collects what a page has a browser fetch from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        self._within = tag
        values = {name: value or "" for name, value in attrs}
        self.found.extend(IN_STYLE.findall(values.get("style", "")))
        if tag == "link" and not NOT_FETCHED.issuperset(values.get("rel", "").lower().split()):
            self._take(values.get("href", ""))
        for name in FETCHED.get(tag, ()):
            self._take(values.get(name, ""))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the parser names it
        """Leave an element."""
        self._within = ""

    def handle_data(self, data: str) -> None:
        """Look into style sheets within the page."""
        if self._within == "style":
            self.found.extend(IN_STYLE.findall(data))

    def _take(self, address: str) -> None:
        if ELSEWHERE.match(address.strip()):
            self.found.append(address)


def fetches(text: str, suffix: str) -> list[str]:
    """List what a file of a site has a browser fetch from elsewhere."""
    if suffix == ".html":
        page = Fetches()
        page.feed(text)
        return page.found
    if suffix in {".css", ".svg"}:
        return IN_STYLE.findall(COMMENT.sub("", text))
    if suffix == ".js":
        return [address for address in ADDRESS.findall(COMMENT.sub("", text)) if not _is_harmless(address)]
    return []


def problems(site: Path) -> Iterator[str]:
    """Say what is wrong with a site."""
    files = [
        file
        for file in sorted(site.rglob("*"))
        if file.suffix in {".html", ".css", ".js", ".svg"} and file.parent.name != LANGUAGES
    ]
    if not any(file.suffix == ".html" for file in files):
        yield f"{site}: there is no page"
    for file in files:
        text = file.read_text(encoding="utf-8")
        for address in fetches(text, file.suffix):
            yield f"{file.relative_to(site)}: fetches {address}"
        if file.suffix == ".html":
            for address, needed in DORMANT.items():
                if needed.search(text):
                    yield f"{file.relative_to(site)}: has a script fetch {address}"
                    break


def _is_harmless(address: str) -> bool:
    return any(re.match(pattern, address) for pattern in (*DORMANT, *NOT_ADDRESSES))


if __name__ == "__main__":
    found = list(problems(Path(sys.argv[1])))
    sys.stderr.writelines(f"{problem}\n" for problem in found)
    sys.exit(1 if found else 0)
