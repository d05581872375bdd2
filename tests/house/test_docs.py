"""What the pages promise exists: files and headings that they link to, commands and settings that they name."""

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, documents, named

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
MAKE = re.compile(r"\bmake ((?:[A-Z]+=\S+ )*)([a-z][\w-]*)")
SETTING = re.compile(r"\bCANARY_[A-Z][A-Z0-9_]*[A-Z0-9]\b")
PAGES = documents()
SETTINGS = ROOT / "controller/settings.py"


def prose_of(page: Path) -> str:
    """A page without its code, whose brackets are no links and whose hashes are no headings."""
    return CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))


def code_of(page: Path) -> str:
    """The code of a page: fenced blocks and inline spans."""
    text = page.read_text(encoding="utf-8")
    fenced = [match.group() for match in FENCE.finditer(text)]
    return "\n".join([*fenced, *CODE.findall(FENCE.sub("", text))])


def anchors_of(page: Path) -> set[str]:
    """The names that a page's headings can be linked by."""
    headings = HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(page: Path) -> list[str]:
    """The links of a page whose file or heading is not there."""
    dead = []
    for link in LINK.findall(prose_of(page)):
        name, _, anchor = link.partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", name):
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    promised = {match[1]: named(page) for page in PAGES for match in MAKE.findall(code_of(page))}
    assert {target: page for target, page in promised.items() if target not in targets} == {}


def test_every_setting_that_a_page_or_container_names_is_read() -> None:
    files = [*PAGES, ROOT / "docker-compose.yml", ROOT / "Dockerfile"]
    promised = {name: named(path) for path in files for name in SETTING.findall(path.read_text(encoding="utf-8"))}
    known = set(SETTING.findall(SETTINGS.read_text(encoding="utf-8"))) if SETTINGS.exists() else set(promised)
    # A secret may come as a file: NAME_FILE is read by whatever reads NAME.
    unread = {name for name in promised if name not in known and name.removesuffix("_FILE") not in known}
    assert {name: promised[name] for name in unread} == {}


def test_the_way_in_is_documented() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md"):
        assert (ROOT / name).is_file(), name
