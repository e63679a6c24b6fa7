"""Facts: what a host says about itself, kept when it changed, and how it changed."""

import json
from typing import Any

import pytest

from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.canaries import MARK
from tests.functional.clock import FrozenClock
from tests.functional.database_requests import database_requests, writes
from tests.functional.laws.faults import CONFLICT, LOST, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import rows_of, set_presence

MACHINE = f"{MARK}-machine"
FACTS: dict[str, Any] = {
    "hostname": "host-1.example",
    "os": "Debian 13",
    "arch": "x86_64",
    "machine_id_sha256": MACHINE,
    "cpu": {"count": 4, "model": None},
    "interfaces": [
        {"name": "lo", "up": True, "bytes_sent": 1, "bytes_received": 1},
        {"name": "eth0", "up": True, "addresses": ["10.0.0.7"], "bytes_sent": 5},
    ],
    "disks": [{"mount": "/", "total_bytes": 2**40}],
    "of_tomorrow": {"nobody_knows": [1, 2]},
}


def digest(number: int) -> str:
    return f"{number:064x}"


def put(host: Host, number: int, facts: dict[str, Any] = FACTS) -> Answer:
    return host.call("PUT", "/facts", {"facts_sha256": digest(number), "facts": facts})


def get(tenant: Tenant, host: Host) -> dict[str, Any]:
    answer = tenant.call("GET", f"/agents/{host.agent_id}/facts")
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def changed_paths(tenant: Tenant, host: Host) -> list[str]:
    return [change["path"] for change in get(tenant, host)["changes"]]


@pytest.fixture
def host(tenant: Tenant) -> Host:
    enrolled = tenant.enroll()
    assert enrolled.beat().status == 200
    return enrolled


def test_an_agent_that_sent_no_facts_has_none(tenant: Tenant, host: Host) -> None:
    assert get(tenant, host) == {
        "agent_id": host.agent_id,
        "facts": None,
        "facts_sha256": None,
        "received_at": None,
        "changes": [],
    }
    assert tenant.call("GET", f"/agents/{host.agent_id}").body["facts_sha256"] is None


def test_facts_are_kept_as_they_are_but_for_the_machine_id(tenant: Tenant, host: Host) -> None:
    answer = put(host, 1)
    assert (answer.status, answer.body) == (200, {"facts_sha256": digest(1), "changed": True})
    seen = get(tenant, host)
    assert seen["facts"] == {k: v for k, v in FACTS.items() if k != "machine_id_sha256"}
    assert (seen["facts_sha256"], seen["changes"]) == (digest(1), [])
    assert seen["received_at"] == "2026-05-28T20:26:40.000Z"
    assert tenant.call("GET", f"/agents/{host.agent_id}").body["facts_sha256"] == digest(1)


def test_a_beat_asks_for_facts_until_those_are_stored(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    wanted = []
    for step in range(3):
        clock.advance(seconds=60)
        wanted.append(host.beat(facts=digest(1)).body["facts_wanted"])
        if step == 1:
            assert put(host, 1).status == 200
    assert wanted == [True, True, False]
    assert get(tenant, host)["facts_sha256"] == digest(1)


def test_the_same_facts_change_nothing(tenant: Tenant, host: Host) -> None:
    put(host, 1)
    host.api.clock.advance(seconds=1)
    with database_requests() as seen:
        again = put(host, 1)
    assert (again.status, again.body["changed"]) == (200, False)
    assert writes(seen) == []
    events = [record["event"] for record in tenant.audit("agent", host.agent_id)]
    assert events.count("agent.facts_changed") == 1


def test_changes_are_kept_by_path_newest_first_and_counters_are_left_out(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    put(host, 1)
    clock.advance(seconds=10)
    lo, eth = FACTS["interfaces"]
    after = {
        **FACTS,
        "cpu": {"count": 8, "model": None},
        "machine_id_sha256": f"{MARK}-another",
        # In another order, and with another one before it.
        "interfaces": [{**eth, "up": False, "addresses": ["10.0.0.8"], "bytes_sent": 9}, lo,
                       {"name": "wg0"}],
    }  # fmt: skip
    assert put(host, 2, after).status == 200
    clock.advance(seconds=10)
    assert put(host, 3, {**after, "disks": []}).status == 200
    changes = get(tenant, host)["changes"]
    assert {change.pop("at") for change in changes[:3]} == {"2026-05-28T20:27:00.000Z"}
    assert {change.pop("at") for change in changes[3:]} == {"2026-05-28T20:26:50.000Z"}
    assert changes == [
        {"path": "disks", "before": None, "after": []},
        {"path": "disks[/].mount", "before": "/", "after": None},
        {"path": "disks[/].total_bytes", "before": 2**40, "after": None},
        {"path": "cpu.count", "before": 4, "after": 8},
        {"path": "interfaces[eth0].addresses", "before": ["10.0.0.7"], "after": ["10.0.0.8"]},
        {"path": "interfaces[eth0].up", "before": True, "after": False},
        {"path": "interfaces[wg0].name", "before": None, "after": "wg0"},
        # That it is another one is told, and not what it is.
        {"path": "machine_id_sha256", "before": None, "after": None},
    ]


def test_of_many_changes_the_newest_hundred_and_32_kib_are_kept(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    for number in range(3):
        clock.advance(seconds=10)
        facts = {f"fact-{key}": f"{number}-{key}" for key in range(60)}
        assert put(host, number + 1, facts).status == 200
    changes = get(tenant, host)["changes"]
    assert len(changes) == 100
    assert {change["after"][0] for change in changes[:60]} == {"2"}
    assert {change["after"][0] for change in changes[60:]} == {"1"}
    for number in range(2):
        clock.advance(seconds=10)
        facts = {f"long-{key}": f"{number}" * 1_000 for key in range(30)}
        assert put(host, number + 7, facts).status == 200
    changes = get(tenant, host)["changes"]
    assert 10 < len(changes) < 17
    assert len(json.dumps(changes)) <= 33 * 1024


def test_evidence_names_paths_and_hashes_and_no_value(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    put(host, 1)
    clock.advance(seconds=10)
    put(host, 2, {**FACTS, "os": "Debian 14", **{f"more-{n:02}": n for n in range(30)}})
    first, second = (
        record["detail"]
        for record in tenant.audit("agent", host.agent_id)
        if record["event"] == "agent.facts_changed"
    )
    assert first == {
        "agent_id": host.agent_id,
        "facts_sha256": digest(1),
        "previous_facts_sha256": None,
        "changed": 0,
        "paths": [],
    }
    assert (second["facts_sha256"], second["previous_facts_sha256"]) == (digest(2), digest(1))
    assert second["changed"] == 31
    assert second["paths"] == [f"more-{n:02}" for n in range(20)]
    assert "Debian" not in str(rows_of(tenant, "audit_records"))


def test_a_machine_id_is_nowhere(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    nested = {"system": {"machine_id": MACHINE}, "machine_id": [MACHINE], "list": [
        {"name": "x", "machine_id_sha256": MACHINE}]}  # fmt: skip
    put(host, 1, nested)
    clock.advance(seconds=10)
    put(host, 2, {"machine_id": MACHINE + "2"})
    for table in ("agent_identities", "agent_presence", "audit_records"):
        assert MARK not in str(rows_of(tenant, table))
    assert get(tenant, host)["facts"] == {}
    (stored,) = (row["facts"]["S"] for row in rows_of(tenant, "agent_identities") if "facts" in row)
    kept = json.loads(stored)["machine_id"]
    assert len(kept) == 64
    assert kept not in str(rows_of(tenant, "audit_records"))
    assert kept not in str(get(tenant, host))


def test_lists_show_what_the_host_says_now(tenant: Tenant, host: Host, clock: FrozenClock) -> None:
    put(host, 1, {**FACTS, "hostname": "renamed.example", "arch": "x" * 129})
    seen = tenant.call("GET", f"/agents/{host.agent_id}").body
    assert (seen["hostname"], seen["os"], seen["arch"]) == ("renamed.example", "Debian 13", None)
    assert seen["name"] == "host-1.example"
    clock.advance(seconds=10)
    with counted() as requests:
        put(host, 2, {**FACTS, "hostname": "renamed.example", "arch": 7})
    # The identity stands in two indexes: it is written when it differs, and not otherwise.
    assert requests.transactions[0].tables.count("agent_identities") == 1


def test_facts_come_ten_seconds_apart(host: Host, clock: FrozenClock) -> None:
    assert put(host, 1).status == 200
    clock.advance(seconds=4)
    soon = put(host, 2)
    assert (soon.status, soon.code, soon.headers["Retry-After"]) == (429, "facts_too_soon", "6")
    clock.advance(seconds=6)
    assert put(host, 2).status == 200


def test_facts_are_one_read_and_one_transaction_beside_the_authorization(host: Host) -> None:
    with counted() as requests:
        assert put(host, 1).status == 200
    assert requests.operations == ["GetItem", "BatchGetItem", "TransactWriteItems"]
    assert not any(sent.eventually_consistent for sent in requests.sent)
    # The facts; and the identity, which moves to the machine that they claim.
    assert sorted(requests.transactions[0].tables) == [
        "agent_identities", "agent_identities", "agent_identities", "agent_presence",
        "audit_records",
    ]  # fmt: skip


def test_facts_that_are_too_large_are_refused_and_the_largest_are_taken(
    tenant: Tenant, host: Host
) -> None:
    def of(size: int) -> dict[str, Any]:
        parts = {f"p{number:02}": "x" * 1_000 for number in range(32)}
        rest = size - len(json.dumps(parts, separators=(",", ":"))) - len(',"rest":""')
        return {**parts, "rest": "x" * rest}

    over = put(host, 1, of(32 * 1024 + 1))
    assert (over.status, over.code) == (413, "facts_too_large")
    assert put(host, 1, of(32 * 1024)).status == 200
    assert get(tenant, host)["facts_sha256"] == digest(1)


@pytest.mark.parametrize("status", ["quarantined", "revoked"])
def test_an_agent_that_may_not_act_leaves_no_facts(tenant: Tenant, host: Host, status: str) -> None:
    set_presence(tenant, host.agent_id, AgentPresenceItem.status.set(status))
    refused = put(host, 1)
    expected = {"quarantined": (403, "agent_quarantined"), "revoked": (401, "key_revoked")}
    assert (refused.status, refused.code) == expected[status]
    assert get(tenant, host)["facts"] is None


def test_facts_come_after_the_first_beat(tenant: Tenant) -> None:
    fresh = put(tenant.enroll(), 1)
    assert (fresh.status, fresh.code) == (409, "not_active")


def test_a_revoke_that_comes_first_wins(tenant: Tenant, host: Host) -> None:
    with interleaved(
        lambda: tenant.call("POST", f"/agents/{host.agent_id}/revoke", {}), on="TransactWriteItems"
    ) as revoked:
        refused = put(host, 1)
    assert revoked[0].status == 200
    assert (refused.status, refused.code) == (401, "key_revoked")
    assert get(tenant, host)["facts"] is None


@pytest.mark.parametrize("fault", [LOST, CONFLICT], ids=str)
def test_a_lost_answer_or_a_conflict_keeps_the_facts_once(
    tenant: Tenant, host: Host, fault: Any
) -> None:
    with injected(fault, on="TransactWriteItems"):
        answer = put(host, 1)
    assert (answer.status, answer.body["changed"]) == (200, True)
    events = [record["event"] for record in tenant.audit("agent", host.agent_id)]
    assert events.count("agent.facts_changed") == 1


# --------------------------------------------------------------- the machine that facts claim


def _same_machine(tenant: Tenant, host: Host) -> list[str]:
    found = tenant.call("GET", f"/agents/{host.agent_id}").body["same_machine"]
    assert isinstance(found, list)
    return found


def test_an_agent_that_came_without_a_machine_is_put_on_the_one_that_its_facts_claim(
    tenant: Tenant, host: Host
) -> None:
    other = tenant.enroll(machine_id=MACHINE)
    assert _same_machine(tenant, other) == []
    put(host, 1)
    assert _same_machine(tenant, other) == [host.agent_id]
    assert _same_machine(tenant, host) == [other.agent_id]


def test_an_agent_that_moves_leaves_its_former_machine(
    tenant: Tenant, host: Host, clock: FrozenClock
) -> None:
    other = tenant.enroll(machine_id=MACHINE)
    put(host, 1)
    clock.advance(seconds=10)
    put(host, 2, {**FACTS, "machine_id_sha256": f"{MARK}-another"})
    assert _same_machine(tenant, other) == _same_machine(tenant, host) == []
    moved = tenant.enroll(machine_id=f"{MARK}-another")
    assert _same_machine(tenant, moved) == [host.agent_id]


def test_a_revoke_during_a_move_leaves_no_machine_with_a_dead_agent(
    tenant: Tenant, host: Host
) -> None:
    with interleaved(lambda: put(host, 1), on="TransactWriteItems") as moved:
        revoked = tenant.call("POST", f"/agents/{host.agent_id}/revoke", {})
    assert (moved[0].status, revoked.status) == (200, 200)
    assert not any("agents" in row for row in rows_of(tenant, "agent_identities"))


def test_a_machine_that_is_full_keeps_the_facts_all_the_same(tenant: Tenant, host: Host) -> None:
    from chalicelib.store.machines import MOST_AGENTS

    token = tenant.mint(max_uses=MOST_AGENTS)
    for number in range(MOST_AGENTS):
        said = {"hostname": f"full-{number}", "machine_id": MACHINE}
        assert tenant.exchange(token["token"], **said).status == 201
    assert put(host, 1).status == 200
    assert len(_same_machine(tenant, host)) == MOST_AGENTS
