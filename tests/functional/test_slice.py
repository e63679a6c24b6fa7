from tests.functional.api import Tenant


def test_a_host_enrolls_and_beats(tenant: Tenant) -> None:
    host = tenant.enroll()
    first = host.beat()
    assert (first.status, first.body["status"]) == (200, "online"), first.body
    seen = tenant.call("GET", f"/agents/{host.agent_id}")
    assert seen.body["status"] == "online"
    listed = tenant.call("GET", "/agents")
    assert [agent["agent_id"] for agent in listed.body["agents"]] == [host.agent_id]
