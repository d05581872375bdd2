"""The client module for browsers, as a file to serve."""

from __future__ import annotations

from pathlib import Path

__all__ = ["browser_client"]


def browser_client() -> Path:
    """The file `canary-events.js`: an ES module without dependencies. Serve it, or copy it into your bundle."""
    return Path(__file__).with_name("canary-events.js")
