"""The runtime key of an agent in quarantine: it may be rotated, and opens nothing."""

from datetime import datetime

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.copies import INTERVAL, noticed
from tests.functional.laws.faults import interleaved
from tests.functional.laws.stories import presence_of


@pytest.fixture
def host(tenant: Tenant, clock: FrozenClock) -> Host:
    """A host that beats."""
    host = tenant.enroll()
    assert host.beat().status == 200
    clock.advance(seconds=INTERVAL)
    return host


def quarantine(tenant: Tenant, host: Host) -> None:
    assert tenant.call("POST", f"/agents/{host.agent_id}/quarantine").status == 200


def release(tenant: Tenant, host: Host, decision: str = "keep") -> Answer:
    return tenant.call("POST", f"/agents/{host.agent_id}/release", {"decision": decision})


def rotate(host: Host) -> Answer:
    return host.call("POST", "/runtime-key/rotate", {"instance": host.instance})


def test_a_quarantine_that_is_longer_than_the_rest_of_the_key_strands_nobody(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    clock.advance(days=80)
    quarantine(tenant, host)
    answer = host.beat()
    assert (answer.status, answer.code) == (403, "agent_quarantined")
    now = datetime.fromisoformat(answer.body["server_time"])
    left = datetime.fromisoformat(answer.body["runtime_key_expires_at"]) - now
    assert left.days < 10
    assert (now - datetime.fromisoformat(answer.body["runtime_key_issued_at"])).days == 80
    fresh = rotate(host)
    assert fresh.status == 201
    host.key = fresh.body["runtime_key"]
    answer = host.beat()
    assert answer.code == "agent_quarantined"
    assert answer.body["runtime_key_issued_at"] == fresh.body["runtime_key_issued_at"]
    clock.advance(days=46)
    # The first one has ended: the pending one may be followed by another.
    fresh = rotate(host)
    assert fresh.status == 201
    host.key = fresh.body["runtime_key"]
    clock.advance(days=46)
    release(tenant, host)
    assert host.beat().status == 200


def test_a_quarantined_copy_cannot_end_the_others_key(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = noticed(tenant, host, clock)
    other.key = rotate(other).body["runtime_key"]
    clock.advance(days=1)
    answer = rotate(other)
    assert (answer.status, answer.code) == (403, "agent_quarantined")
    release(tenant, host)
    assert host.beat().status == 200


def test_who_never_beat_has_the_replay_and_no_rotation(tenant: Tenant) -> None:
    host = tenant.enroll()
    quarantine(tenant, host)
    answer = rotate(host)
    assert (answer.status, answer.code) == (403, "agent_quarantined")
    assert presence_of(tenant, host.agent_id).pending_key is None


def test_only_a_beat_says_how_old_its_key_is(tenant: Tenant, host: Host) -> None:
    quarantine(tenant, host)
    answer = host.call("GET", "/artifacts/art_" + "0" * 20)
    assert answer.code == "agent_quarantined"
    assert "runtime_key_expires_at" not in answer.body


def test_a_rotation_in_the_middle_of_a_release_is_known_to_the_copy(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = noticed(tenant, host, clock)
    with interleaved(lambda: rotate(other), on="TransactWriteItems") as others:
        assert release(tenant, host, "split").status == 200
    other.key = others[0].body["runtime_key"]
    clock.advance(seconds=INTERVAL)
    # Not by the row's pending key, which is another one from now on.
    assert rotate(host).status == 201
    assert other.beat().code == "agent_split"
