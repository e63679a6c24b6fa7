"""Law 1: what a repeated exchange gets, over HTTP and on a database with real transactions."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from infra.engines.front import Front
from tests.e2e.stack.calls import Calls, Host, Token
from tests.engines.conflicts import ConflictProxy, answering
from tests.engines.items import Items, assert_whole

RACES = 40
DAY_MS = 24 * 3_600_000
MANY = 60


class Story:
    """A host that has exchanged its token and not been heard since."""

    def __init__(self, calls: Calls, *, uses: int = 1) -> None:
        self.calls = calls
        self.token: Token = calls.mint(uses=uses)
        self.key = secrets.token_urlsafe(32)
        self.first = self.exchange().json()

    def exchange(self, key: str | None = None) -> httpx.Response:
        return self.calls.exchange(self.token, key=key or self.key)

    def host(self, answer: httpx.Response | None = None) -> Host:
        body = self.first if answer is None else answer.json()
        return Host(body["agent_id"], body["runtime_key"])

    def replayed(self) -> Host:
        answer = self.exchange()
        assert (answer.status_code, answer.json()["replayed"]) == (200, True), answer.text
        assert answer.json()["agent_id"] == self.first["agent_id"]
        assert answer.json()["runtime_key"] != self.first["runtime_key"]
        return self.host(answer)

    def refused(self, key: str | None = None) -> tuple[int, str]:
        answer = self.exchange(key)
        return answer.status_code, answer.json()["code"]

    def revoke(self) -> None:
        path = f"/agent-enrollment/tokens/{self.token.id}/revoke"
        assert self.calls.operator("POST", path).status_code == 200


def rows_of(items: Items, token: Token, attribute: str) -> list[str]:
    """The keys of a token's rows that have an attribute."""
    rows = items.all("agent_enrollment_tokens")
    return [r["pk"]["S"] for r in rows if r["token"]["S"] == token.id and attribute in r]


@pytest.mark.parametrize("uses", [1, MANY])
def test_the_same_key_gets_the_same_agent_and_another_key_another_use(
    calls: Calls, items: Items, uses: int
) -> None:
    story = Story(calls, uses=uses)
    other = secrets.token_urlsafe(32)
    if uses == 1:
        assert story.refused(other) == (410, "token_spent")
    else:
        assert story.exchange(other).json()["agent_id"] != story.first["agent_id"]
    fresh = story.replayed()
    lost = calls.beat(story.host())
    assert (lost.status_code, lost.json()["code"]) == (401, "key_superseded")
    assert calls.beat(fresh).status_code == 200
    assert_whole(items, story.token, agents=1 if uses == 1 else 2)


@pytest.mark.parametrize("uses", [1, MANY])
def test_a_replay_is_served_when_the_token_has_expired(
    calls: Calls, items: Items, uses: int
) -> None:
    story = Story(calls, uses=uses)
    for row in rows_of(items, story.token, "expires_at"):
        items.change("agent_enrollment_tokens", row, "expires_at", int(time.time() * 1000) - 1)
    assert story.refused(secrets.token_urlsafe(32)) == (410, "token_expired")
    assert calls.beat(story.replayed()).status_code == 200


@pytest.mark.parametrize("uses", [1, MANY])
def test_a_revoked_token_serves_no_replay(calls: Calls, uses: int) -> None:
    story = Story(calls, uses=uses)
    story.revoke()
    assert story.refused() == (410, "token_revoked")
    assert story.refused(secrets.token_urlsafe(32)) == (410, "token_revoked")
    # Only the token has ended: the agent lives.
    assert calls.beat(story.host()).status_code == 200


def test_after_the_first_heartbeat_there_is_no_replay(calls: Calls) -> None:
    story = Story(calls)
    assert calls.beat(story.host()).status_code == 200
    assert story.refused() == (409, "replay_window_closed")


def test_after_24_hours_there_is_no_replay(calls: Calls, items: Items) -> None:
    story = Story(calls)
    (receipt,) = rows_of(items, story.token, "key_digest")
    now = int(time.time() * 1000)
    items.change("agent_enrollment_tokens", receipt, "created_at", now - DAY_MS + 60_000)
    story.replayed()
    items.change("agent_enrollment_tokens", receipt, "created_at", now - DAY_MS - 1)
    assert story.refused() == (409, "replay_window_closed")


@pytest.mark.parametrize("conflicting", [False, True], ids=["alone", "behind conflicts"])
def test_of_a_replay_and_the_first_heartbeat_exactly_one_wins(
    database: Front, calls: Calls, items: Items, *, conflicting: bool
) -> None:
    proxy = ConflictProxy(database.forward, items.key_of)
    stories = [Story(calls) for _ in range(RACES)]
    ready = Barrier(2)
    winners: Counter[str] = Counter()
    with (
        answering(database, proxy.answer if conflicting else database.forward),
        ThreadPoolExecutor(2) as pool,
    ):
        for number, story in enumerate(stories):
            # The two take differently long: each gets a head start now and then.
            early = (number % 5 - 2) * 0.004
            beat = pool.submit(_beat, ready, story, max(0.0, early))
            replay = pool.submit(_replay, ready, story, max(0.0, -early))
            winners[_winner(story, beat.result(), replay.result())] += 1
    assert winners.total() == RACES
    assert set(winners) == {"beat", "replay"}, "the race was never open"


def _beat(ready: Barrier, story: Story, head_start: float) -> httpx.Response:
    host = story.host()
    ready.wait()
    time.sleep(head_start)
    return _patiently(lambda: story.calls.beat(host))


def _replay(ready: Barrier, story: Story, head_start: float) -> httpx.Response:
    ready.wait()
    time.sleep(head_start)
    return _patiently(story.exchange)


def _patiently(send: Callable[[], httpx.Response]) -> httpx.Response:
    for _ in range(10):
        answer = send()
        if answer.status_code != 503:
            return answer
        time.sleep(float(answer.headers["retry-after"]))
    raise AssertionError("it never got an answer")


def _winner(story: Story, beat: httpx.Response, replay: httpx.Response) -> str:
    if beat.status_code == 200:
        assert (replay.status_code, replay.json()["code"]) == (409, "replay_window_closed")
        return "beat"
    assert (beat.status_code, beat.json()["code"]) == (401, "key_superseded")
    assert replay.status_code == 200, replay.text
    assert story.calls.beat(story.host(replay)).status_code == 200
    return "replay"
