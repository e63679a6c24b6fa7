"""Law 1: the exchange is cut at every step, and the database is one that knows its transactions.

Never a use without an agent, never two agents, and the retry gets its agent.
"""

from __future__ import annotations

import secrets

import pytest

from infra.engines.front import Front
from infra.local_stack import LocalStack
from tests.e2e.stack.aws_requests import kill_workers
from tests.e2e.stack.calls import Calls, Host, Token
from tests.e2e.stack.few_uses import patient_exchange
from tests.engines.conflicts import ConflictProxy, answering
from tests.engines.cuts import Cutter, Moment
from tests.engines.items import Items, assert_whole

FEW = 3
"""Uses that the token's own row counts."""
MANY = 60
"""Uses that counter rows count."""
STEPS = (1, 2, 3)
ALWAYS = 1_000
OPERATIONS = {1: {"BatchGetItem"}, 2: {"GetItem", "BatchGetItem"}, 3: {"TransactWriteItems"}}


def words_of(stack: LocalStack, token: Token) -> tuple[str, ...]:
    """What the requests of an exchange mention."""
    return token.id, f"environment#{stack.environment}"


@pytest.mark.parametrize("uses", [FEW, MANY])
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("step", STEPS)
def test_one_cut_is_mended_before_the_host_knows(
    stack: LocalStack,
    database: Front,
    calls: Calls,
    items: Items,
    step: int,
    moment: Moment,
    uses: int,
) -> None:
    token, key = calls.mint(uses=uses), secrets.token_urlsafe(32)
    # What is cut inside is under way when the SDK repeats it.
    proxy = ConflictProxy(database.forward, items.key_of)
    cutter = Cutter(proxy.answer, words_of(stack, token), at=step, moment=moment)
    with answering(database, cutter.answer):
        answer = calls.exchange(token, key=key)
        cutter.settle()
    assert set(cutter.struck) <= OPERATIONS[step]
    assert len(cutter.struck) == 1
    assert answer.status_code in {200, 201}, answer.text
    assert_one_agent(calls, items, token, key, answer.json())


@pytest.mark.parametrize("uses", [FEW, MANY])
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("step", STEPS)
def test_after_a_lasting_cut_the_retry_gets_the_agent(
    stack: LocalStack,
    database: Front,
    calls: Calls,
    items: Items,
    step: int,
    moment: Moment,
    uses: int,
) -> None:
    token, key = calls.mint(uses=uses), secrets.token_urlsafe(32)
    cutter = Cutter(database.forward, words_of(stack, token), at=step, moment=moment, times=ALWAYS)
    with answering(database, cutter.answer):
        cut = calls.exchange(token, key=key)
        cutter.settle()
    assert len(cutter.struck) == 3, "the SDK tries three times"
    assert (cut.status_code, cut.json()["code"]) == (503, "store_unavailable")
    happened = step == 3 and moment is not Moment.BEFORE
    assert_whole(items, token, agents=int(happened))
    again = patient_exchange(calls, token, key)
    assert again.json()["replayed"] is happened
    assert_one_agent(calls, items, token, key, again.json())


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("step", STEPS)
def test_after_the_functions_death_the_retry_gets_the_agent(
    stack: LocalStack, database: Front, calls: Calls, items: Items, step: int, moment: Moment
) -> None:
    token, key = calls.mint(uses=FEW), secrets.token_urlsafe(32)
    function = stack.cloud.functions[f"rollcall-{stack.target.stage}"]
    cutter = Cutter(
        database.forward,
        words_of(stack, token),
        at=step,
        moment=moment,
        besides=lambda: kill_workers(function),
    )
    with answering(database, cutter.answer):
        dead = calls.exchange(token, key=key)
        cutter.settle()
    assert len(cutter.struck) == 1
    assert (dead.status_code, dead.json()["code"]) == (503, "unavailable")
    happened = step == 3 and moment is not Moment.BEFORE
    assert_whole(items, token, agents=int(happened))
    again = patient_exchange(calls, token, key)
    assert again.json()["replayed"] is happened
    assert_one_agent(calls, items, token, key, again.json())


@pytest.mark.parametrize("moment", Moment)
def test_a_replay_that_is_cut_leaves_a_key_that_works(
    stack: LocalStack, database: Front, calls: Calls, items: Items, moment: Moment
) -> None:
    token, key = calls.mint(), secrets.token_urlsafe(32)
    first = calls.exchange(token, key=key).json()
    for step in (1, 2, 3, 4):
        words = (*words_of(stack, token), first["agent_id"])
        cutter = Cutter(database.forward, words, at=step, moment=moment, times=ALWAYS)
        with answering(database, cutter.answer):
            assert calls.exchange(token, key=key).status_code == 503
            cutter.settle()
        assert len(cutter.struck) == 3
    again = patient_exchange(calls, token, key)
    assert again.status_code == 200
    assert_one_agent(calls, items, token, key, again.json())


def assert_one_agent(
    calls: Calls, items: Items, token: Token, key: str, answer: dict[str, str]
) -> None:
    """There is one agent, one use, and the key that was answered last is the one that works."""
    assert assert_whole(items, token, agents=1) == {answer["agent_id"]}
    assert calls.uses(token) == 1
    assert calls.beat(Host(answer["agent_id"], answer["runtime_key"])).status_code == 200
    closed = calls.exchange(token, key=key)
    assert (closed.status_code, closed.json()["code"]) == (409, "replay_window_closed")
    assert calls.uses(token) == 1
