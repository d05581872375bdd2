"""Controllers as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flow.site import Site


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts controllers on databases, and ends them after the test."""
    sites: list[Site] = []

    def begin(database_url: str, **settings: str) -> Site:
        site = Site(database_url, tmp_path, f"controller-{len(sites)}", **settings)
        sites.append(site)
        site.start()
        return site

    yield begin
    for site in sites:
        site.close()


@pytest.fixture
def site(database_url: str, new_site: Callable[..., Site]) -> Site:
    """One controller on a fresh database of each kind in turn."""
    return new_site(database_url)
