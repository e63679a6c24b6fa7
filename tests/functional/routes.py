"""All routes, as the tests know them: bad input, tenants and credential families run over them.

A route of the app that has no row here fails `test_every_route_has_a_row`.
"""

from tests.functional import (
    routes_agents,
    routes_core,
    routes_evidence,
    routes_install,
    routes_login,
    routes_machines,
    routes_oidc,
    routes_organizations,
    routes_people,
)
from tests.functional.route import Route
from tests.functional.routes_core import AGENT, ENROLLMENT

ROUTES: tuple[Route, ...] = (
    *routes_agents.ROUTES,
    *routes_core.ROUTES,
    *routes_evidence.ROUTES,
    *routes_install.ROUTES,
    *routes_login.ROUTES,
    *routes_machines.ROUTES,
    *routes_organizations.ROUTES,
    *routes_people.ROUTES,
    *routes_oidc.ROUTES,
)
WITH_BODY = tuple(route for route in ROUTES if route.kind is not None)
WITH_ID = tuple(route for route in ROUTES if route.parameters)
WITH_CREDENTIAL = tuple(route for route in ROUTES if route.families)
LISTS = tuple(route for route in ROUTES if route.is_list)

__all__ = [
    "AGENT", "ENROLLMENT", "LISTS", "ROUTES", "WITH_BODY", "WITH_CREDENTIAL", "WITH_ID", "Route",
    "of",
]  # fmt: skip


def of(method: str, path: str) -> Route:
    """The row of a route."""
    (found,) = (route for route in ROUTES if (route.method, route.path) == (method, path))
    return found
