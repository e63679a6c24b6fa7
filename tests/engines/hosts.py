"""Many hosts that enroll with one token, as the real agent does, and what they went through."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
from rollcall_agent.retry import DEFAULT_BACKOFF

from tests.e2e.stack.calls import Token, assert_problem

_MOST_TRIES = 40


@dataclass
class Enrollment:
    """What one host lived through until it had its agent."""

    key: str = field(repr=False)
    hostname: str
    answers: list[httpx.Response | None] = field(default_factory=list)
    request_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def last(self) -> httpx.Response:
        answer = self.answers[-1]
        assert answer is not None
        return answer

    @property
    def agent_id(self) -> str:
        return str(self.last.json()["agent_id"])


class Fleet:
    """Hosts that enroll side by side.

    Args:
        url: of the stage.
        token: what they all hold.
        at_once: how many enroll at a time.
        seed: of their jitter.
    """

    def __init__(self, url: str, token: Token, *, at_once: int, seed: int = 0) -> None:
        self._url = url + "/api/v1/agent-enrollment/exchange"
        self._token = token
        self._at_once = at_once
        self._random = random.Random(seed)  # noqa: S311 - jitter
        self._own = threading.local()

    def enroll(self, hosts: int) -> list[Enrollment]:
        """Enroll so many hosts, and wait for the last one."""
        with ThreadPoolExecutor(self._at_once) as pool:
            return list(pool.map(self._enroll_one, range(hosts)))

    def ask_again(self, stories: Sequence[Enrollment]) -> list[Enrollment]:
        """Let hosts that lost their answers ask with the same keys, all at once."""
        again = [Enrollment(story.key, story.hostname) for story in stories]
        with ThreadPoolExecutor(self._at_once) as pool:
            return list(pool.map(self._insist, again))

    def _enroll_one(self, number: int) -> Enrollment:
        return self._insist(
            Enrollment(secrets.token_urlsafe(32), f"host-{number}.{self._token.id[-6:].lower()}")
        )

    def _insist(self, story: Enrollment) -> Enrollment:
        began = time.monotonic()
        for attempt in range(_MOST_TRIES):
            answer = self._ask(story)
            if answer is not None and answer.status_code not in {429, 503}:
                story.seconds = time.monotonic() - began
                return story
            asked = float(answer.headers["retry-after"]) if answer is not None else None
            time.sleep(DEFAULT_BACKOFF.delay(attempt, self._random, asked))
        raise AssertionError(f"{story.hostname} never got an answer: {story.answers[-1]}")

    def _ask(self, story: Enrollment) -> httpx.Response | None:
        sent = time.monotonic()
        try:
            answer: httpx.Response | None = self._http().post(
                self._url,
                json={"hostname": story.hostname},
                headers={
                    "Authorization": f"Bearer {self._token.secret}",
                    "Idempotency-Key": story.key,
                },
            )
        except httpx.TransportError:
            answer = None
        story.request_seconds.append(time.monotonic() - sent)
        story.answers.append(answer)
        if answer is not None and not answer.is_success:
            assert_problem(answer)
        return answer

    def _http(self) -> httpx.Client:
        kept: httpx.Client | None = getattr(self._own, "http", None)
        if kept is None:
            kept = self._own.http = httpx.Client(timeout=30, trust_env=False)
        return kept


@dataclass(frozen=True)
class Figures:
    """Seconds, by share of the cases."""

    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Figures:
        ordered = sorted(seconds)

        def at(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

        return cls(at(0.50), at(0.95), at(0.99), ordered[-1])

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} p95 {self.p95:.2f} p99 {self.p99:.2f} max {self.most:.2f} s"


def answers_of(stories: Sequence[Enrollment]) -> Counter[str]:
    """How often each answer was given, the ones that were never given too."""
    return Counter(_names(stories))


def _names(stories: Sequence[Enrollment]) -> Iterator[str]:
    for story in stories:
        for answer in story.answers:
            if answer is None:
                yield "none"
            else:
                yield f"{answer.status_code} {answer.json().get('code', '')}".strip()
