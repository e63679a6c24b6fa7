"""Routes of identity providers and logins by them."""

from typing import Any

from chalicelib.flows.oidc_configuration import IdentityProviderRequest
from tests.functional.route import Route
from tests.functional.world import IDENTITY_PROVIDER, World

PROVIDER = "/api/v1/organizations/{organization_id}/identity-provider"
CALLBACK = "/api/v1/auth/oidc/{organization_id}/callback"


def _provider(_: World) -> dict[str, Any]:
    return dict(IDENTITY_PROVIDER)


ROUTES: tuple[Route, ...] = (
    Route("PUT", PROVIDER, kind=IdentityProviderRequest, body=_provider),
    Route("GET", PROVIDER),
    Route("DELETE", PROVIDER, ends=True),
    # The world's provider has an address that nobody may ask, and the callback needs a browser
    # that began a login: tests/functional/oidc has a real provider and a browser.
    Route("GET", "/api/v1/auth/oidc/{organization_id}/start", answers=(503,)),
    Route("GET", CALLBACK, answers=(401,)),
)
