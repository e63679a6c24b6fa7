"""Everything about machines that leaves evidence, done once."""

from tests.functional.api import Tenant
from tests.functional.canaries import MARK

MACHINE = f"{MARK}-machine"


def live_machines(tenant: Tenant) -> None:
    """Facts that change, a re-imaged host that an operator confirms, and the host's end."""
    former = tenant.enroll(name="former", machine_id=MACHINE)
    fresh = tenant.enroll(name="fresh", machine_id=MACHINE)
    assert fresh.beat().status == 200
    for number in range(2):
        facts = {"facts_sha256": f"{number}" * 64, "facts": {"cpus": number, "machine_id": MACHINE}}
        assert fresh.call("PUT", "/facts", facts).status == 200
        tenant.api.clock.advance(seconds=10)
    body = {"former": former.agent_id, "note": "new disk"}
    assert tenant.call("POST", f"/agents/{fresh.agent_id}/replace", body).status == 200
    assert fresh.call("POST", "/decommission", {"note": "scrapped"}).status == 200
