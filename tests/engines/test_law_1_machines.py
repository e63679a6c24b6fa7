"""Law 1 beside machines, on a database with real transactions: no live agent is evicted."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import httpx

from tests.e2e.stack.calls import Calls, Host
from tests.engines.items import Items

RACES = 25
SILENCE_MS = 2_000_000


def test_of_a_beat_and_an_exchange_that_would_replace_the_agent_one_comes_first(
    calls: Calls, items: Items, secrets_seen: set[str]
) -> None:
    outcomes: Counter[str] = Counter()
    for _ in range(RACES):
        machine = secrets.token_hex(16)
        secrets_seen.add(machine)
        former = calls.enroll(machine_id=machine)
        assert calls.beat(former).status_code == 200
        _age(items, calls, former)
        token = calls.mint(replace_machine=True, replace_offline_seconds=1_800)

        beaten, enrolled = _at_once(
            partial(calls.beat, former, sequence=2),
            partial(calls.exchange, token, machine_id=machine),
        )
        assert enrolled.status_code == 201, enrolled.text
        assert calls.uses(token) == 1
        outcomes[_winner(calls, former, beaten, enrolled)] += 1
    assert sum(outcomes.values()) == RACES, outcomes


def _age(items: Items, calls: Calls, host: Host) -> None:
    """Let the agent have been silent, as time would have."""
    pk = f"{calls.stack.organization}#{host.id}"
    heard = time.time_ns() // 1_000_000 - SILENCE_MS
    items.change("agent_presence", pk, "l", heard)
    items.change("agent_presence", pk, "n", heard + 250)
    items.change("agent_identities", pk, "created_at", heard)


def _at_once(*calls: Callable[[], httpx.Response]) -> list[httpx.Response]:
    start = Barrier(len(calls))

    def run(call: Callable[[], httpx.Response]) -> httpx.Response:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def _winner(calls: Calls, former: Host, beaten: httpx.Response, enrolled: httpx.Response) -> str:
    fresh = enrolled.json()["agent_id"]
    seen = calls.operator("GET", f"/agents/{former.id}").json()
    if beaten.status_code == 200:
        assert (seen["revoked_at"], seen["same_machine"]) == (None, [fresh])
        return "beat"
    assert (beaten.status_code, beaten.json()["code"]) == (401, "key_revoked")
    assert (seen["status"], seen["replaced_by"], seen["same_machine"]) == ("revoked", fresh, [])
    return "exchange"


def test_of_many_exchanges_of_one_machine_at_once_one_replaces(
    calls: Calls, items: Items, secrets_seen: set[str]
) -> None:
    machine = secrets.token_hex(16)
    secrets_seen.add(machine)
    former = calls.enroll(machine_id=machine)
    assert calls.beat(former).status_code == 200
    _age(items, calls, former)
    tokens = [calls.mint(replace_machine=True, replace_offline_seconds=1_800) for _ in range(6)]
    answers = _at_once(*(partial(calls.exchange, token, machine_id=machine) for token in tokens))
    assert [answer.status_code for answer in answers] == [201] * 6
    fresh = {answer.json()["agent_id"] for answer in answers}
    assert calls.operator("GET", f"/agents/{former.id}").json()["replaced_by"] in fresh
    for agent in fresh:
        others = calls.operator("GET", f"/agents/{agent}").json()["same_machine"]
        assert set(others) == fresh - {agent}
