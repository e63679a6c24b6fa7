"""What leaves evidence of an agent's life after its enrollment, done once."""

from tests.functional.api import Tenant
from tests.functional.canaries import MARK
from tests.functional.laws.copies import noticed


def live_agents(tenant: Tenant) -> None:
    """A key that is asked for and rotated, two copies that are noticed, and the one that goes."""
    host = tenant.enroll(name="imaged")
    path = f"/agents/{host.agent_id}"
    assert host.beat().status == 200
    assert tenant.call("POST", f"{path}/runtime-key/request-rotation").status == 200
    assert host.call("POST", "/runtime-key/rotate").status == 201
    tenant.api.clock.advance(seconds=60)
    copy = noticed(tenant, host, tenant.api.clock)
    body = {"decision": "split", "note": "two of them"}
    assert tenant.call("POST", f"{path}/release", body).status == 200
    assert copy.beat().code == "agent_split"
    headers = {"Idempotency-Key": f"{MARK}-of-a-copy-0123456789"}
    answer = copy.call("POST", "/split", {"instance": copy.instance}, headers=headers)
    assert answer.status == 201, answer.body
