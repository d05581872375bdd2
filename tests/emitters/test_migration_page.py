"""docs/migration.md: the contract it prints is the one that is checked, and its code is code."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

import controller.emitters as package
from controller.emitters import contract_table, validate_websocket_interfaces
from controller.emitters.limits import Limits
from tests.house.tree import ROOT

PAGE = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_contract_is_the_one_that_the_validator_produces() -> None:
    [printed] = re.findall(r"<!-- contract -->\n(.*?)\n<!-- /contract -->", PAGE, re.DOTALL)
    assert printed == contract_table(validate_websocket_interfaces())


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_its_code_can_be_parsed_and_imports_what_exists(snippet: str) -> None:
    tree = ast.parse(f"async def page():\n    {snippet.replace(chr(10), chr(10) + '    ')}")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("controller"):
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == []


def test_every_name_in_its_prose_exists() -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z]+(?:Error|Socket|Emitter|Manager|Tracker|Monitor|Factory|Router))`", PAGE))
    assert {name for name in named if not hasattr(package, name)} == set()


def test_its_figures_are_the_defaults() -> None:
    limits = Limits()
    for words in (
        f"{limits.max_queue} events queued and {limits.max_inflight:,} unproved per connection",
        f"{limits.max_connections_per_user}\nconnections per user, {limits.max_parked:,} events that wait for users",
        f"`reconnect_grace` ({limits.reconnect_grace:g} s)",
        f"`replay_window` ({limits.replay_window:g} s after the event)",
        f"`delivery_timeout` ({limits.delivery_timeout:g} s)",
    ):
        assert words in PAGE, words
