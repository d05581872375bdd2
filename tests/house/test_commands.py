"""What the pages tell people to type exists: commands and options; and what the runbook tells them to look at."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from controller.cli.app import build
from tests.house.tree import ROOT, documents, named

CANARY = typer.main.get_command(build(lambda **_: 0))
FENCE = re.compile(r"^```.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"(?:^|\n\n|\n(?=    ))((?:    [^\n]+\n?)+)")
SPAN = re.compile(r"`([^`\n]+)`")
METRIC = re.compile(r"`(canary_[a-z_]+)`")
RUNBOOK = ROOT / "docs/runbook.md"
#: Words of the shell after which a command is over.
ENDS = {"|", "&&", ";", ">", "||", "&", "<"}
PAGES = documents()


def typed(text: str) -> list[str]:
    """Every `canary ...` that a page has people type: spans, and the lines of its blocks."""
    blocks = "\n".join([*FENCE.findall(text), *BLOCK.findall(text)])
    lines = [line.strip() for line in blocks.splitlines()]
    lines = [re.sub(r"^.*?(?:&& |\| |\$ |; )(?=canary )", "", line) for line in lines]
    spans = [span.strip() for span in SPAN.findall(FENCE.sub("", text))]
    return [line for line in [*lines, *spans] if line.startswith("canary ")]


def words_of(line: str) -> list[str]:
    """The words of one command, without comments and without what follows it."""
    words = shlex.split(line.replace("\\|", " ").split(" #")[0].rstrip("\\"))[1:]
    end = next((at for at, word in enumerate(words) if word in ENDS or word == "..."), len(words))
    return [word.rstrip(",.:") for word in words[:end]]


def fault_of(line: str) -> str:
    """What does not exist in a command that somebody is told to type; empty when all does."""
    command: Any = CANARY
    before = ""
    for word in words_of(line):
        inner = getattr(command, "commands", {})
        if word.startswith("--"):
            known = {name for one in [*command.params, *CANARY.params] for name in one.opts + one.secondary_opts}
            if word.split("=")[0] not in known | {"--help"}:
                return f"it has no {word}"
        elif word in inner:
            command = inner[word]
        elif inner and not before.startswith("-"):
            return f"there is no `{word}`"
        before = word
    return ""


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_a_page_names_exists(page: Path) -> None:
    found = {line: fault_of(line) for line in typed(page.read_text(encoding="utf-8"))}
    assert {line: fault for line, fault in found.items() if fault} == {}


def test_a_command_or_an_option_that_is_not_there_is_found() -> None:
    assert fault_of("canary rollout stop KEY") == "there is no `stop`"
    assert fault_of("canary rollout rollback KEY --why x") == "it has no --why"
    assert fault_of('canary rollout rollback KEY --reason "x"') == ""
    assert fault_of("canary audit verify --file FILE") == ""
    assert typed("Say `canary alerts`:\n\n    . venv\n    canary doctor | less\n") == [
        "canary doctor | less",
        "canary alerts",
    ]


def test_what_the_runbook_says_to_look_at_is_on_a_dashboard_or_measured() -> None:
    text = RUNBOOK.read_text(encoding="utf-8")
    dashboards = [json.loads(path.read_text()) for path in (ROOT / "dashboards/grafana/dashboards").glob("*.json")]
    titles = {panel["title"] for dashboard in dashboards for panel in dashboard["panels"]}
    looked_at = {span for span in SPAN.findall(text) if (span[0].isupper() and " " in span) or span == "Tick"}
    assert looked_at
    assert looked_at - titles == set()
    exposed = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    assert [name for name in METRIC.findall(text) if f"`{name}`" not in exposed] == []
