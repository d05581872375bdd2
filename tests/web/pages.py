"""Pages as a reader without a script sees them, and forms as such a reader sends them."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlencode

from werkzeug.test import TestResponse

from tests.web.callers import Caller

#: Text from outside that would be a script if it were ever taken for markup.
HOSTILE = "</td><script>alert('x')</script>\"'><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The elements and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Take text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        """The elements of a kind that have these attributes."""
        wanted = attributes.items()
        return [found for name, found in self.elements if name == tag and all(found.get(k) == v for k, v in wanted)]

    @property
    def links(self) -> set[str]:
        """Where its links lead."""
        return {str(found.get("href")) for found in self.all("a")}

    def field(self, name: str) -> str | None:
        """The value of an input."""
        return next((found.get("value") for found in self.all("input", name=name)), None)


def page_of(caller: Caller, path: str = "/") -> Page:
    """A page that must be there."""
    return read(caller.get(path))


def read(answer: TestResponse, status: int = 200) -> Page:
    """A page with this status."""
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.text[:500]
    return Page(answer.text)


def send(caller: Caller, path: str, *, part: bool = False, **fields: str | list[str]) -> TestResponse:
    """A form; `part` sends it as the page's script does."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if part:
        headers["HX-Request"] = "true"
    return caller.call("POST", path, urlencode(fields, doseq=True).encode(), headers)
