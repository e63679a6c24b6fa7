"""Law 1: the function's process dies in the middle of exchanges; hosts ask again, as they do."""

from __future__ import annotations

import random
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from infra.emulator.functions import Function
from infra.local_stack import LocalStack
from tests.e2e.stack.aws_requests import WorkerKiller, kill_workers, watching
from tests.e2e.stack.calls import Calls, Host, Token

HOSTS = 12
KILLS = 8
MOST_REQUESTS = 6


def api_function(stack: LocalStack) -> Function:
    return stack.cloud.functions[f"rollcall-{stack.target.stage}"]


def insist(calls: Calls, token: Token, key: str) -> httpx.Response:
    """Ask until there is an answer that is not the stage's own fault."""
    for _ in range(40):
        answer = calls.exchange(token, key=key, hostname="insistent.example")
        if answer.status_code < 500:
            return answer
    raise AssertionError("it never got an answer")


@pytest.mark.parametrize("carried_out", [False, True], ids=["request lost", "answer lost"])
def test_killed_at_each_request_of_an_exchange_it_is_one_agent_and_one_use(
    stack: LocalStack, calls: Calls, *, carried_out: bool
) -> None:
    struck = []
    for number in range(1, MOST_REQUESTS):
        token = calls.mint(uses=2)
        key = secrets.token_urlsafe(32)
        killer = WorkerKiller(api_function(stack), token.id, number, carried_out=carried_out)
        with watching(stack.cloud, killer):
            first = calls.exchange(token, key=key)
            if not killer.struck:
                assert first.status_code == 201
                break
            assert (first.status_code, first.json()["code"]) == (503, "unavailable")
            struck.append(killer.struck)
        answer = insist(calls, token, key)
        assert answer.json()["replayed"] is (carried_out and killer.struck == "TransactWriteItems")
        assert calls.uses(token) == 1
        host = Host(answer.json()["agent_id"], answer.json()["runtime_key"])
        assert [agent["agent_id"] for agent in calls.agents_of(token)] == [host.id]
        assert calls.beat(host).status_code == 200
    assert struck[-1:] == ["TransactWriteItems"]
    assert len(struck) >= 2


def test_killed_while_it_answers_a_replay_the_host_still_gets_a_key_that_works(
    stack: LocalStack, calls: Calls
) -> None:
    token = calls.mint()
    key = secrets.token_urlsafe(32)
    first = calls.exchange(token, key=key)
    killer = WorkerKiller(api_function(stack), first.json()["agent_id"], 1, carried_out=True)
    with watching(stack.cloud, killer):
        lost = calls.exchange(token, key=key)
    assert killer.struck
    assert lost.status_code == 503
    again = insist(calls, token, key)
    host = Host(again.json()["agent_id"], again.json()["runtime_key"])
    assert host.id == first.json()["agent_id"]
    assert calls.beat(host).status_code == 200
    assert calls.uses(token) == 1


def test_workers_that_die_at_random_never_make_two_agents_or_lose_a_use(
    stack: LocalStack, calls: Calls
) -> None:
    token = calls.mint(uses=HOSTS)
    done = threading.Event()

    def kill_now_and_then() -> int:
        chance = random.Random(7)  # noqa: S311 - only has to be irregular
        for count in range(KILLS):
            if done.wait(chance.uniform(0.1, 0.5)):
                return count
            kill_workers(api_function(stack))
        return KILLS

    keys = [secrets.token_urlsafe(32) for _ in range(HOSTS)]
    with ThreadPoolExecutor(HOSTS + 1) as pool:
        killing = pool.submit(kill_now_and_then)
        try:
            answers = list(pool.map(lambda key: insist(calls, token, key), keys))
        finally:
            done.set()
        assert killing.result() >= 1
    assert {answer.status_code for answer in answers} <= {200, 201}
    agents = {answer.json()["agent_id"] for answer in answers}
    assert len(agents) == HOSTS
    assert {agent["agent_id"] for agent in calls.agents_of(token)} == agents
    assert calls.uses(token) == HOSTS
    assert calls.exchange(token).json()["code"] == "token_spent"
    again = [insist(calls, token, key).json()["agent_id"] for key in keys]
    assert again == [answer.json()["agent_id"] for answer in answers]
