"""What leaves evidence when people come through an identity provider."""

from chalicelib import runtime
from chalicelib.flows import oidc_configuration, oidc_people
from chalicelib.flows.oidc_people import Identity
from chalicelib.flows.sessions import Visit
from chalicelib.permissions import Role
from tests.functional.people import Person
from tests.functional.world import IDENTITY_PROVIDER


def live(admin: Person) -> None:
    """Set a provider, and let somebody in whom it vouches for: as a verified ID token would."""
    organization = admin.tenant.organization
    answer = admin.call(
        "PUT", f"/organizations/{organization}/identity-provider", IDENTITY_PROVIDER
    )
    assert answer.status == 200, answer.body
    provider = oidc_configuration.get(organization)
    now = runtime.current()
    visit = Visit("request", "192.0.2.7", "a browser", now.clock())
    for role in (Role.VIEWER, Role.OPERATOR):
        who = Identity("https://192.0.2.1", "subject", "Somebody", role, provider.changed_at)
        oidc_people.admit(now.patience, now.refusals, visit, organization, who)
