"""Law 1 over HTTP: many hosts want few uses, and one host asks many times at once."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx

from tests.e2e.stack.calls import Calls, Host
from tests.e2e.stack.few_uses import patient_exchange, share_in_rounds

REPEATS = 16
# The engine that can lose a race gets more of them, in tests/engines.
ROUNDS = 8


def test_64_hosts_share_5_uses_exactly_in_every_round(calls: Calls) -> None:
    share_in_rounds(calls, ROUNDS)


def test_one_host_that_asks_16_times_at_once_is_one_agent(calls: Calls) -> None:
    token = calls.mint(uses=3)
    key = secrets.token_urlsafe(32)
    ready = Barrier(REPEATS)

    def enroll(_: int) -> httpx.Response:
        ready.wait()
        return calls.exchange(token, key=key)

    with ThreadPoolExecutor(REPEATS) as pool:
        answers = list(pool.map(enroll, range(REPEATS)))
    assert {answer.status_code for answer in answers} <= {200, 201, 503}
    good = [answer.json() for answer in answers if answer.status_code < 300]
    assert good
    (agent_id,) = {body["agent_id"] for body in good}
    assert [body["replayed"] for body in good].count(False) <= 1
    assert calls.uses(token) == 1
    assert [agent["agent_id"] for agent in calls.agents_of(token)] == [agent_id]

    last = patient_exchange(calls, token, key)
    assert last.status_code == 200
    host = Host(last.json()["agent_id"], last.json()["runtime_key"])
    assert host.id == agent_id
    for body in good:
        early = calls.beat(Host(agent_id, body["runtime_key"]))
        assert (early.status_code, early.json()["code"]) == (401, "key_superseded")
    assert calls.beat(host).status_code == 200
    closed = calls.exchange(token, key=key)
    assert (closed.status_code, closed.json()["code"]) == (409, "replay_window_closed")
    assert calls.uses(token) == 1


def test_of_the_keys_that_were_issued_at_once_exactly_one_works(calls: Calls) -> None:
    token = calls.mint()
    key = secrets.token_urlsafe(32)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: calls.exchange(token, key=key), range(8)))
    hosts = [Host(a.json()["agent_id"], a.json()["runtime_key"]) for a in answers if a.is_success]
    codes = [calls.beat(host).status_code for host in hosts]
    assert codes.count(200) == 1
    assert codes.count(401) == len(hosts) - 1


def test_hosts_that_want_the_same_name_cost_one_use_each_and_no_more(calls: Calls) -> None:
    token = calls.mint(uses=8)
    name = f"wanted-{secrets.token_hex(4)}"
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: patient_exchange(calls, token, name=name), range(8)))
    assert sorted(answer.status_code for answer in given) == [201] + [409] * 7
    assert calls.uses(token) == 1
    host = f"{name}.example"
    with ThreadPoolExecutor(7) as pool:
        derived = list(pool.map(lambda _: patient_exchange(calls, token, hostname=host), range(7)))
    assert [answer.status_code for answer in derived] == [201] * 7
    assert len({answer.json()["name"] for answer in derived}) == 7
    assert calls.uses(token) == 8 == len(calls.agents_of(token))
