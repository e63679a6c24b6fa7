"""Many hosts that want the few uses of a token at the same moment, round after round."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx

from tests.e2e.stack.calls import Calls, Token

HOSTS = 64
USES = 5
_MOST_TRIES = 20


def patient_exchange(
    calls: Calls, token: Token, key: str | None = None, **said: str
) -> httpx.Response:
    """Exchange as a polite client does: again after 503, as the answer says."""
    for _ in range(_MOST_TRIES):
        answer = calls.exchange(token, key=key, **said)
        if answer.status_code != 503:
            return answer
        time.sleep(float(answer.headers["retry-after"]))
    raise AssertionError("it never got an answer")


def share_in_rounds(calls: Calls, rounds: int) -> None:
    """Let the hosts share a fresh token in each round, exactly."""
    enrolled: dict[str, str] = {}
    ready = Barrier(HOSTS)
    with ThreadPoolExecutor(HOSTS) as pool:
        for _ in range(rounds):
            token = calls.mint(uses=USES)

            def enroll(_: int, token: Token = token) -> httpx.Response:
                ready.wait()
                return patient_exchange(calls, token, secrets.token_urlsafe(32))

            answers = list(pool.map(enroll, range(HOSTS)))
            accepted = [answer for answer in answers if answer.status_code == 201]
            refused = [answer for answer in answers if answer.status_code == 410]
            assert (len(accepted), len(refused)) == (USES, HOSTS - USES)
            assert {answer.json()["code"] for answer in refused} == {"token_spent"}
            assert calls.uses(token) == USES
            enrolled |= {answer.json()["agent_id"]: token.id for answer in accepted}
    assert len(enrolled) == USES * rounds
    listed = {agent["agent_id"]: agent["enrollment_token_id"] for agent in calls.agents()}
    tokens = set(enrolled.values())
    assert {agent: token for agent, token in listed.items() if token in tokens} == enrolled
