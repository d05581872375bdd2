"""Other releases beside this one, as folders that `python -m controller` runs in: one from before, and one to come.

The one to come is this one with what a next release may bring: another form of the judge's constants, a column that
nobody here knows, a table of its own, and the migration for both.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from controller.domain.judge.constants import FORM
from controller.settings import child_environment
from controller.storage import schema

ROOT = Path(__file__).resolve().parents[2]
_VERSIONS = "migrations/versions"
_MADE = shutil.ignore_patterns("__pycache__", "assets")
_MIGRATION = '''"""What a next release may bring; it only adds."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rollouts", sa.Column("mood", sa.String(20), nullable=True))
    op.create_table("moods", sa.Column("name", sa.String(20), primary_key=True))


def downgrade() -> None:
    op.drop_table("moods")
    op.drop_column("rollouts", "mood")
'''


def next_release(folder: Path) -> Path:
    """A release after this one, made in a folder."""
    for name in ("controller", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=_MADE)
    constants = folder / "controller/domain/judge/constants.py"
    text, changed = re.subn(r"^FORM = \d+$", f"FORM = {FORM + 1}", constants.read_text(), flags=re.MULTILINE)
    assert changed == 1
    constants.write_text(text)
    before = schema.head_revision()
    migration = _MIGRATION.format(revision=revision_after(before), before=before)
    (folder / _VERSIONS / f"{revision_after(before)}_next.py").write_text(migration)
    return folder


def revision_after(revision: str, by: int = 1) -> str:
    """The name of the schema that a next release brings; `by` is -1 for the one before."""
    return f"{int(revision) + by:04d}"


def past_release(folder: Path, commit: str) -> Path:
    """The project as a commit has it, unpacked into a folder."""
    packed = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def before_the_newest_migration() -> str:
    """The last commit of the main line that did not have this release's newest schema."""
    newest = next((ROOT / _VERSIONS).glob(f"{schema.head_revision()}_*.py")).relative_to(ROOT)
    wanted = ["log", "--first-parent", "-m", "--diff-filter=A", "--format=%H", "-1", "--", str(newest)]
    return f"{_git(*wanted)}^1"


def canary(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a release's `canary` command; its output and exit code."""
    command = [sys.executable, "-m", "controller", *arguments]
    return subprocess.run(command, cwd=tree, env=child_environment(), capture_output=True, text=True, check=False)


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout.strip()
