"""Of a machine's agents a caller is told those that they may see, and no others."""

from typing import Any

from tests.functional.api import Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.laws.request_counter import counted
from tests.functional.people import Person, person

MACHINE = f"{MARK}-machine"


def two_projects(tenant: Tenant) -> tuple[Host, Host, Person]:
    """One machine's agent in two projects, and a person who sees the first project alone."""
    project = tenant.call("POST", "/projects", {"name": "secret"}).body["project_id"]
    wanted = {"project": project, "name": "hidden"}
    environment = tenant.call("POST", "/environments", wanted).body["environment_id"]
    token = tenant.mint(environment=environment)["token"]
    body = tenant.exchange(token, machine_id=MACHINE).body
    hidden = Host(tenant.api, body["agent_id"], body["runtime_key"], body)
    near = tenant.enroll(machine_id=MACHINE)
    return near, hidden, person(tenant, projects={tenant.project: "operator"})


def same_machine(caller: Any, host: Host) -> list[list[str]]:
    one = caller.call("GET", f"/agents/{host.agent_id}")
    listed = caller.call("GET", "/agents")
    renamed = caller.call("PATCH", f"/agents/{host.agent_id}", {"labels": {}})
    assert (one.status, listed.status, renamed.status) == (200, 200, 200)
    (other,) = (one for one in listed.body["agents"] if one["agent_id"] == host.agent_id)
    return [shape["same_machine"] for shape in (one.body, other, renamed.body)]


def test_an_agent_of_a_project_that_the_caller_does_not_see_is_not_told(tenant: Tenant) -> None:
    near, hidden, limited = two_projects(tenant)
    assert same_machine(tenant, near) == [[hidden.agent_id]] * 3
    assert same_machine(limited, near) == [[]] * 3
    third = tenant.enroll(machine_id=MACHINE)
    assert same_machine(limited, near) == [[third.agent_id]] * 3


def test_a_former_agent_that_the_caller_does_not_see_does_not_exist(tenant: Tenant) -> None:
    near, hidden, limited = two_projects(tenant)
    path = f"/agents/{near.agent_id}/replace"
    with counted() as requests:
        refused = limited.call("POST", path, {"former": hidden.agent_id})
    assert (refused.status, refused.code) == (404, "agent_not_found")
    assert requests.transactions == []
    unknown = limited.call("POST", path, {"former": "agt_" + "0" * 20})
    assert (refused.status, refused.code) == (unknown.status, unknown.code)
    told = tenant.call("POST", path, {"former": hidden.agent_id})
    assert (told.status, told.code) == (409, "other_environment")
