"""The files that people wrote, for the tests that read them all."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Environments, caches and products; hidden folders are left out besides, except .ci.
MADE = {"__pycache__", "node_modules", "dist", "build"}
TEXT = {"", ".css", ".html", ".ini", ".js", ".json", ".mako", ".md", ".mjs", ".py", ".toml", ".yaml", ".yml"}


def written_files(folder: Path = ROOT) -> list[Path]:
    """Every text file of the repository, in a stable order."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in MADE and (not path.name.startswith(".") or path.name == ".ci"):
                found += written_files(path)
        elif path.suffix in TEXT and path.name not in {".env", ".git"}:
            found.append(path)
    return found


def named(path: Path) -> str:
    """The path as a reader of the repository knows it."""
    return path.relative_to(ROOT).as_posix()


def python_files() -> list[Path]:
    """Every Python file of the repository."""
    return [path for path in written_files() if path.suffix == ".py"]


def documents() -> list[Path]:
    """Every Markdown page of the repository."""
    return [path for path in written_files() if path.suffix == ".md"]
