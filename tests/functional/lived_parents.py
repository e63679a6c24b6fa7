"""What leaves evidence of organizations, projects and environments, done once."""

from tests.functional.api import Tenant
from tests.functional.laws.deletions import admin, deletions_of_all_kinds, run


def live(tenant: Tenant) -> None:
    """Make, change and delete; the tenant is gone after it."""
    who = admin(tenant)
    assert who.call("POST", "/organizations", {"name": "another"}).status == 201
    path = f"/organizations/{tenant.organization}"
    assert who.call("PATCH", path, {"name": "renamed"}).status == 200
    path = f"/projects/{tenant.project}"
    assert who.call("PATCH", path, {"name": "renamed"}).status == 200
    for job in deletions_of_all_kinds(tenant):
        assert run(tenant, job).status == "done"
