# ruff: noqa: INP001 - a script beside what it writes, no package
"""Writes grafana/dashboards/*.json: `python dashboards/build.py`. A test keeps them in step with the code."""

from pathlib import Path

from controller_health import CONTROLLER
from fleet import FLEET
from parts import text_of
from rollout import ROLLOUT

BOARDS = {"fleet.json": FLEET, "rollout.json": ROLLOUT, "controller.json": CONTROLLER}
FOLDER = Path(__file__).parent / "grafana" / "dashboards"

if __name__ == "__main__":
    for name, board in BOARDS.items():
        (FOLDER / name).write_text(text_of(board), encoding="utf-8")
