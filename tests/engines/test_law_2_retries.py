"""Law 2: lost answers and the SDK's own retries on MiniStack never look like a clone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.functional.api import Answer, Host, Tenant
from tests.functional.laws import faults
from tests.functional.laws.faults import Fault, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import presence_of

# What the attempts of one beat meet, in turn; the one after them is let through.
STORIES: dict[str, list[Fault]] = {
    "answer lost": [faults.LOST],
    "two answers lost": [faults.LOST, faults.LOST],
    "conflict": [faults.CONFLICT],
    "conflicts": [faults.CONFLICT] * 5,
    "answer lost, then a conflict": [faults.LOST, faults.CONFLICT],
    "conflict, then the answer lost": [faults.CONFLICT, faults.LOST],
    "conflict, answer lost, conflict": [faults.CONFLICT, faults.LOST, faults.CONFLICT],
    "dropped, then the answer lost": [faults.DROPPED, faults.LOST],
    "throttled, then the answer lost": [faults.THROTTLED, faults.LOST],
    "server error after it was carried out": [faults.LOST, faults.SERVER_ERROR],
}


@pytest.fixture
def host(tenant: Tenant) -> Host:
    """A host whose next beat is due."""
    host = tenant.enroll()
    assert host.beat().status == 200
    tenant.api.clock.advance(seconds=60)
    return host


def met(story: list[Fault], operation: str) -> ExitStack:
    """Let the attempts of an operation meet faults, one after the other."""
    meeting = ExitStack()
    dropped = 0
    for number, fault in enumerate(story, 1):
        # An attempt that one fault drops is not seen by those that stand behind it.
        meeting.enter_context(injected(fault, first=number - dropped, on=operation))
        dropped += fault.dropped
    return meeting


def events_of(tenant: Tenant, host: Host) -> list[str]:
    return sorted(record["event"] for record in tenant.audit("agent", host.agent_id))


@pytest.mark.parametrize(
    "story", STORIES.values(), ids=[name.replace(" ", "-") for name in STORIES]
)
def test_a_steady_beat_is_accepted_whatever_its_attempts_meet(
    tenant: Tenant, host: Host, story: list[Fault]
) -> None:
    with met(story, "UpdateItem"), counted() as requests:
        answer = host.beat()
    assert (answer.status, answer.code) == (200, None), answer.body
    assert requests.operations.count("UpdateItem") == len(story) + 1
    assert presence_of(tenant, host.agent_id).sequence == host.sequence
    for _ in range(2):
        tenant.api.clock.advance(seconds=60)
        assert host.beat().status == 200
    # No refusal, and no change of status that was none.
    assert events_of(tenant, host) == ["agent.enrolled", "agent.online"]


@pytest.mark.parametrize(
    "story",
    [story for name, story in STORIES.items() if not name.startswith("server")],
    ids=[name.replace(" ", "-") for name in STORIES if not name.startswith("server")],
)
def test_a_beat_that_changes_the_status_is_one_change_whatever_its_attempts_meet(
    tenant: Tenant, story: list[Fault]
) -> None:
    host = tenant.enroll()
    with met(story, "TransactWriteItems"):
        answer = host.beat()
    assert answer.status == 200, answer.body
    tenant.api.clock.advance(seconds=60)
    assert host.beat().status == 200
    assert events_of(tenant, host) == ["agent.enrolled", "agent.online"]


@pytest.mark.parametrize("fault", [faults.LOST, faults.CONFLICT, faults.DROPPED], ids=str)
def test_a_beat_that_got_no_answer_at_all_is_accepted_when_it_is_repeated(
    tenant: Tenant, host: Host, fault: Fault
) -> None:
    with injected(fault, on="UpdateItem", times=faults.ALWAYS):
        answer = host.beat(nonce="n" * 16)
    assert answer.status == 503, answer.body
    assert int(answer.headers["Retry-After"]) >= 1
    for seconds in (0.001, 1, 14):
        tenant.api.clock.advance(seconds=seconds)
        assert host.repeat_beat(nonce="n" * 16).status == 200
    tenant.api.clock.advance(seconds=60)
    assert host.beat().status == 200
    assert events_of(tenant, host) == ["agent.enrolled", "agent.online"]


def test_the_same_beat_many_times_at_once_is_accepted_each_time(tenant: Tenant, host: Host) -> None:
    """A beat that timed out at the agent may still be under way when it is repeated."""
    host.sequence += 1
    begin = threading.Barrier(8)

    def beat() -> Answer:
        begin.wait(10)
        return host.repeat_beat(nonce="n" * 16)

    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(beat) for _ in range(8)]]
    assert {answer.status for answer in answers} == {200}
    tenant.api.clock.advance(seconds=60)
    assert host.beat().status == 200
    assert events_of(tenant, host) == ["agent.enrolled", "agent.online"]


def test_a_later_beat_overtakes_one_that_was_given_up(tenant: Tenant, host: Host) -> None:
    """The one that comes late is told so, in vain; the agent goes on and is never refused."""
    clock, first = tenant.api.clock, host.sequence + 1

    def later() -> Answer:
        clock.advance(seconds=60)
        host.sequence = first + 1
        return host.repeat_beat(nonce="l" * 16)

    with interleaved(later, on="UpdateItem") as overtaking:
        late = host.beat(nonce="e" * 16)
    assert overtaking[0].status == 200
    assert (late.status, late.code) == (409, "sequence_stale")
    for _ in range(2):
        clock.advance(seconds=60)
        assert host.beat().status == 200


def test_of_two_beats_at_once_one_is_too_soon_and_none_a_clone(tenant: Tenant, host: Host) -> None:
    """The earlier is written first: the later one has to wait, and is accepted then."""
    first = host.sequence + 1

    def earlier() -> Answer:
        host.sequence = first
        return host.repeat_beat(nonce="e" * 16)

    host.sequence = first
    with interleaved(earlier, on="UpdateItem") as overtaking:
        later = tenant.api.call(
            "POST",
            f"/api/v1/agents/{host.agent_id}/telemetry/heartbeat",
            {"sequence": first + 1, "nonce": "l" * 16, "instance": host.instance},
            credential=host.key,
        )
    assert overtaking[0].status == 200
    assert (later.status, later.code) == (429, "heartbeat_too_soon")
    tenant.api.clock.advance(seconds=60)
    host.sequence = first + 1
    assert host.repeat_beat(nonce="l" * 16).status == 200
