"""Logs: one form for all of them, and no secret in any."""

import json
import subprocess
import sys

import pytest

from controller.telemetry import told_path

SPEAK = """
import logging
from controller.telemetry import configure_logging
import structlog
configure_logging({form!r})
structlog.get_logger("own").info("said", flag="checkout")
logging.getLogger("library").warning("%d things went wrong", 3)
try:
    raise ValueError("with a newline\\nin it")
except ValueError:
    logging.getLogger("library").exception("failed")
"""


def spoken(form: str) -> list[str]:
    """What a process says on standard error."""
    command = [sys.executable, "-c", SPEAK.format(form=form)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()


def test_every_line_is_json_whoever_says_it() -> None:
    own, other, failed = (json.loads(line) for line in spoken("json"))
    assert (own["event"], own["level"], own["flag"]) == ("said", "info", "checkout")
    assert (other["event"], other["level"], other["logger"]) == ("3 things went wrong", "warning", "library")
    assert other["timestamp"].endswith("Z")
    assert "with a newline\nin it" in failed["exception"]


def test_as_text_it_is_for_people() -> None:
    own, other, *_ = spoken("text")
    assert own.split("[info     ]")[1].split() == ["said", "flag=checkout"]
    assert "3 things went wrong" in other


@pytest.mark.parametrize(
    ("path", "told"), [("/setup/s3cret", "/setup/..."), ("/api/v1/flags", "/api/v1/flags"), ("/setup", "/setup")]
)
def test_a_path_is_told_without_the_secret_of_a_link(path: str, told: str) -> None:
    assert told_path(path) == told
