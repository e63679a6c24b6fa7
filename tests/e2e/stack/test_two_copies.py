"""Two copies of one host run: noticed, quarantined, and split into two agents by an operator.

They are started with the stage (`copies` in conftest.py), because it takes half a minute before a
copy can be told from a request that was late.
"""

from __future__ import annotations

from tests.e2e.stack.calls import Calls, until
from tests.e2e.stack.conftest import Copies

# A copy that is quarantined asks once a minute.
NOTICED_SECONDS = 120.0


def test_two_copies_are_quarantined_and_an_operator_splits_them(
    calls: Calls, copies: Copies, secrets_seen: set[str]
) -> None:
    agent_id = copies.agent_id
    until(
        lambda: calls.operator("GET", f"/agents/{agent_id}").json()["status"] == "quarantined",
        "the copies are noticed",
        NOTICED_SECONDS,
    )
    quarantine = calls.operator("GET", f"/agents/{agent_id}").json()["quarantine"]
    assert quarantine["reason"] == "clone"
    assert len({copy["instance"] for copy in quarantine["copies"]}) == 2
    # Both live on, with the key that they have.
    assert [process.poll() for process in copies.processes] == [None, None]
    assert {one.settings()["ROLLCALL_AGENT_ID"] for one in copies.hosts} == {agent_id}

    released = calls.operator("POST", f"/agents/{agent_id}/release", {"decision": "split"})
    assert released.status_code == 200, released.text

    def two_identities() -> set[str] | None:
        found = {one.settings()["ROLLCALL_AGENT_ID"] for one in copies.hosts}
        return found if len(found) == 2 else None

    identities = until(two_identities, "one copy takes an identity of its own", NOTICED_SECONDS)
    secrets_seen.update(one.settings()["ROLLCALL_AGENT_API_KEY"] for one in copies.hosts)
    assert agent_id in identities
    until(
        lambda: all(
            calls.operator("GET", f"/agents/{one}").json()["status"] == "online"
            for one in identities
        ),
        "both are online, each as itself",
        NOTICED_SECONDS,
    )
    assert [process.poll() for process in copies.processes] == [None, None]
