"""`canary plan`: a manifest over simulated traffic, without a controller."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

MANIFEST = """\
rollout: unified-emitter
flag: emitter
control: legacy
canary: unified
stages:
  - {share: 10%, bake: 10m}
  - {share: 100%, bake: 10m}
"""
BUSY = ("--events-per-minute", "3000", "--events-per-unit", "25", "--repetitions", "5", "--days", "1")


@pytest.fixture(autouse=True)
def manifest(tmp_path: Path) -> Path:
    """A manifest in the folder that commands run in."""
    path = tmp_path / "rollout.yaml"
    path.write_text(MANIFEST)
    return path


def test_it_tells_times_failures_and_false_rollbacks_without_a_controller(run: Run) -> None:
    done = run("plan", "-f", "rollout.yaml", *BUSY)
    assert done.exit_code == 0
    assert done.stdout.startswith("unified-emitter at 3000 events a minute, control 99.5 %\n")
    assert "was rolled back in 0 of 1 simulated days (promised: at most 1 % of days)" in done.stdout
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[2] for row in rows if row[:2] == ["10", "%"] and row[3:4] == ["%"]] == ["94", "90", "80", "50", "0"]
    assert "warning" not in done.stdout


def test_the_same_seed_gives_the_same_figures(run: Run) -> None:
    first = run("plan", "-f", "rollout.yaml", *BUSY, "--json").stdout
    assert first == run("plan", "-f", "rollout.yaml", *BUSY, "--json").stdout
    assert first != run("plan", "-f", "rollout.yaml", *BUSY, "--json", "--seed", "2").stdout
    assert len(json.loads(first)["detections"]) == 10


def test_a_stage_that_cannot_be_judged_is_told_with_a_way_out(run: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST.replace("10%", "0.1%") + "patience: 1h\n")
    done = run("plan", "-f", "rollout.yaml", "--events-per-minute", "60", "--repetitions", "5", "--days", "1")
    assert done.exit_code == 0
    assert "cannot be judged" in done.stdout
    assert "warning: the stage with 0.1 % cannot be judged at this traffic" in done.stdout


@pytest.mark.parametrize("name", ["plan.svg", "plan.png"])
def test_it_is_drawn(run: Run, tmp_path: Path, name: str) -> None:
    done = run("plan", "-f", "rollout.yaml", *BUSY, "--plot", name)
    assert f"drawn in {name}" in done.stdout
    data = (tmp_path / name).read_bytes()
    assert data.startswith(b"\x89PNG") if name.endswith("png") else b"the canary delivers, per cent" in data


def test_the_same_plan_gives_the_same_picture(run: Run, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        run("plan", "-f", "rollout.yaml", *BUSY, "--plot", name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--events-per-minute", "0"), "(--events-per-minute)"),
        (("--events-per-minute", "300", "--events-per-unit", "2"), "(--events-per-unit)"),
        (("--events-per-minute", "300", "--control-success", "20%"), "(--control-success)"),
        (("--events-per-minute", "300", "--control-success", "many"), "(--control-success)"),
        (("--events-per-minute", "300", "--plot", "plan.txt"), "name it .png or .svg (--plot)"),
        (("--events-per-minute", "300", "--plot", "no/where.svg"), "there is no folder no (--plot)"),
    ],
)
def test_bad_options_are_named(run: Run, options: tuple[str, ...], words: str) -> None:
    done = run("plan", "-f", "rollout.yaml", *options)
    assert done.exit_code == 1
    assert words in done.stderr


def test_a_manifest_that_cannot_be_judged_is_refused_with_its_line(run: Run, manifest: Path) -> None:
    manifest.write_text(MANIFEST + "guards:\n  - {metric: delivery_success, at_least: 100%}\n")
    done = run("plan", "-f", "rollout.yaml", *BUSY)
    assert done.exit_code == 1
    assert "guards[0].at_least" in done.stderr
    assert "line 9" in done.stderr
