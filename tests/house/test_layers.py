"""The import contracts hold, and each of them is shown to break when it is violated."""

import configparser
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.house.tree import ROOT

LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

# contract, room that gets the planted file, what the file imports
PLANTS = [
    ("server-layers", "storage", "controller.usecases"),
    ("server-layers", "web", "controller.bootstrap"),
    ("server-layers", "scheduler", "controller.web"),
    ("server-layers", "web", "controller.scheduler"),
    ("server-layers", "cli", "controller.demo"),
    ("application-layers", "client", "controller.emitters"),
    ("application-layers", "wire", "controller.client"),
    ("application-without-server", "client", "controller.storage"),
    ("application-without-server", "emitters", "controller.web"),
    ("server-without-application", "web", "controller.client"),
    ("light-install", "client", "sqlalchemy"),
    ("light-install", "client", "controller.storage.tables"),
    ("pure-domain", "domain", "time"),
    ("pure-domain", "domain", "logging"),
    ("pure-domain", "domain", "msgspec"),
    ("pure-domain", "domain", "controller.clock"),
    ("pure-wire", "wire", "socket"),
    ("asyncio-at-home", "usecases", "asyncio"),
    ("asyncio-at-home", "web", "asyncio"),
    ("usecases-alone", "usecases", "controller.usecases.planted_neighbour"),
]


def contract_ids() -> set[str]:
    """The identifiers of .importlinter."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter", encoding="utf-8")
    return {section.rpartition(":")[2] for section in config.sections() if ":contract:" in section}


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree in a folder."""
    command = [sys.executable, "-c", LINT, "--no-cache", "--no-logo", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def copied_tree(tmp_path: Path) -> Path:
    """The package and its contracts, free to be spoilt."""
    ignore = shutil.ignore_patterns("__pycache__", "static", "assets", "node_modules")
    shutil.copytree(ROOT / "controller", tmp_path / "controller", ignore=ignore)
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def test_every_contract_is_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken." in done.stdout


def test_every_contract_has_a_planted_violation() -> None:
    assert {contract for contract, _, _ in PLANTS} == contract_ids()


@pytest.mark.parametrize(("contract", "room", "imported"), PLANTS)
def test_a_planted_import_breaks_its_contract(copied_tree: Path, contract: str, room: str, imported: str) -> None:
    (copied_tree / "controller/usecases/planted_neighbour.py").write_text("", encoding="utf-8")
    (copied_tree / f"controller/{room}/planted.py").write_text(f"import {imported}\n", encoding="utf-8")

    done = lint(copied_tree, "--contract", contract)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken." in done.stdout, done.stdout + done.stderr
    assert "planted" in done.stdout


def test_the_domain_knows_no_library_but_mmh3() -> None:
    graph = grimp.build_graph("controller", include_external_packages=True, cache_dir=None)
    rooms = {"controller.domain", *graph.find_descendants("controller.domain")}
    imported = {name for room in rooms for name in graph.find_modules_directly_imported_by(room)}
    libraries = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}

    assert {name for name in libraries if not name.startswith("controller.domain")} <= {"mmh3"}
