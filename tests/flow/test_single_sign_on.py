"""Signing in to a controller process by an OpenID provider that its environment names."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.flow.site import Site
from tests.web.providers import ADDRESS, SECRET, provided


def test_a_group_at_the_provider_makes_an_operator_of_whoever_signs_in(
    sqlite_url: str, new_site: Callable[..., Site]
) -> None:
    with provided() as provider:
        provider.knows(a1={"email": "ann@example.com", "email_verified": True, "groups": ["release"]})
        site = new_site(
            sqlite_url,
            CANARY_PUBLIC_URL=ADDRESS,
            CANARY_OIDC_ISSUER=provider.issuer,
            CANARY_OIDC_CLIENT_ID="canary",
            CANARY_OIDC_CLIENT_SECRET=SECRET,
            CANARY_OIDC_ROLES="sre=admin,release=operator",
        )
        with httpx.Client(base_url=site.url) as browser:
            asked = browser.get("/login/oidc?next=/instances").headers["Location"]
            back = browser.get(provider.vouch(asked, "a1").removeprefix(ADDRESS))
            assert (back.status_code, back.headers["Location"]) == (303, "/instances"), back.text
            me = browser.get("/api/v1/me").json()
    assert (me["name"], me["role"]) == ("ann@example.com", "operator")
    entries = site.http.get("/api/v1/audit", params={"subject": "user/ann@example.com"}).json()["items"]
    assert entries[-1]["action"] == "user.created"
    assert SECRET not in str(entries)
