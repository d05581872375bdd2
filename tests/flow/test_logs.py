"""What a controller in production says: lines of JSON for whoever collects them, and no secret among them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.flow.releases import ROOT, canary
from tests.flow.site import Site, until

PASSWORD = "a horse, a battery and a staple"


@pytest.fixture
def site(postgresql_url: str, new_site: Callable[..., Site]) -> Site:
    """A controller whose log is collected, and whose admin nobody has configured."""
    return new_site(postgresql_url, CANARY_LOG_FORMAT="json", CANARY_ADMIN_TOKEN="")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "controller-0.log").read_text().splitlines()]


def test_the_first_admin_comes_in_by_a_command_and_no_log_knows_how(site: Site, tmp_path: Path) -> None:
    [wanted] = until(lambda: [one for one in lines(tmp_path) if "administer" in one["event"]], "it says who is wanted")
    assert (wanted["level"], "canary user first-admin" in wanted["fix"]) == ("warning", True)
    made = canary(ROOT, "user", "first-admin", "--database-url", site.database_url)
    secret = made.stdout.strip().rpartition("/setup/")[2]
    with httpx.Client(base_url=site.url, headers={"Origin": site.url}) as browser:
        form = {"name": "ann", "password": PASSWORD, "again": PASSWORD}
        assert browser.post(f"/setup/{secret}", data=form).status_code == httpx.codes.SEE_OTHER
        assert browser.get("/api/v1/me").json()["role"] == "admin"
    token = canary(ROOT, "token", "create", "--role", "admin", "--local", "--database-url", site.database_url)
    assert httpx.get(
        f"{site.url}/api/v1/tokens", headers={"Authorization": f"Bearer {token.stdout.strip()}"}
    ).is_success
    site.stop()
    site.start()
    site.stop()
    said = "\n".join(json.dumps(one) for one in lines(tmp_path))
    assert [word for word in (secret, "/setup/", token.stdout.strip(), "cnry_", PASSWORD) if word in said] == []
    assert [one["event"] for one in lines(tmp_path)].count(wanted["event"]) == 1, "an admin is there"
