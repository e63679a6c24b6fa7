"""Law 8: an agent that falls silent raises an event by itself, and so does its return."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import Any

from infra.event_tap import EventTap
from infra.local_stack import LocalStack
from tests.e2e.agent_faults.harness import AgentProcess, stops_within_a_second
from tests.e2e.stack.calls import Calls, Host, until
from tests.e2e.stack.conftest import Start

SWEEP = "rollcall-dev-sweep_presence"
MISSED_BEATS = 3
BUCKET_SECONDS = 5


def events_of(tap: EventTap, name: str, agent_id: str) -> list[dict[str, Any]]:
    return [
        event["detail"]
        for event in tap.events()
        if event["detail-type"] == name and event["detail"]["detail"].get("agent_id") == agent_id
    ]


def sweep(stack: LocalStack) -> None:
    stack.cloud.run_schedule(SWEEP)
    stack.cloud.wait_idle(60)


def test_a_killed_agent_goes_offline_by_itself_and_comes_back_online(
    stack: LocalStack, calls: Calls, tap: EventTap, agent: AgentProcess, start: Start
) -> None:
    sweep(stack)
    assert agent.enroll(calls.mint().secret).returncode == 0
    agent_id = agent.settings()["ROLLCALL_AGENT_ID"]
    host = Host(agent_id, agent.settings()["ROLLCALL_AGENT_API_KEY"])
    process = start(agent, "run")
    until(lambda: calls.status_of(host) == "online", "the agent comes online")
    (first,) = until(lambda: events_of(tap, "agent.online", agent_id), "agent.online")
    assert first["detail"]["previous"] == "enrolled"
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    died = time.monotonic()

    begun = []

    def swept() -> list[dict[str, Any]]:
        begun.append(time.monotonic())
        sweep(stack)
        return events_of(tap, "agent.offline", agent_id)

    (offline,) = until(swept, "agent.offline", pause=0.5)
    # A sweep that begins after the missed beats and one bucket finds it: none before did so.
    assert all(moment - died < MISSED_BEATS + BUCKET_SECONDS for moment in begun[:-1])
    seen = calls.operator("GET", f"/agents/{agent_id}").json()
    assert seen["status"] == "offline"
    assert offline["detail"]["last_seen_at"] == seen["last_seen_at"]
    assert offline["actor"] == {"type": "system", "id": "presence_sweep", "credential": None}

    start(agent, "run")
    until(lambda: calls.status_of(host) == "online", "the agent is back")
    until(lambda: len(events_of(tap, "agent.online", agent_id)) == 2, "agent.online again")
    assert events_of(tap, "agent.online", agent_id)[1]["detail"]["previous"] == "offline"
    sweep(stack)
    assert len(events_of(tap, "agent.offline", agent_id)) == 1


def test_a_silent_agent_is_late_before_it_is_offline_and_a_beating_one_stays_online(
    stack: LocalStack, calls: Calls
) -> None:
    silent, beating = calls.online(), calls.online()
    sequence = 1

    def silent_is(status: str) -> bool:
        nonlocal sequence
        sequence += 1
        assert calls.beat(beating, sequence).status_code in {200, 429}
        sweep(stack)
        return calls.status_of(silent) == status

    until(lambda: silent_is("late"), "the silent agent is late", pause=0.3)
    until(lambda: silent_is("offline"), "the silent agent is offline", pause=0.3)
    assert calls.status_of(beating) == "online"


def test_sigterm_ends_a_running_agent_within_a_second(
    calls: Calls, agent: AgentProcess, start: Start
) -> None:
    assert agent.enroll(calls.mint().secret).returncode == 0

    def online() -> subprocess.Popen[str]:
        process = start(agent, "run")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("Online")
        return process

    stops_within_a_second(online(), online)
