"""Facts beside the heartbeat: each beat names their digest, and they follow where asked for.

Nothing here may disturb a beat: facts that cannot be gathered, or that nobody takes, only mean
that operators see older ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from rollcall_agent.advice import explain
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.backoff import Backoff
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.clock import Clock
from rollcall_agent.say import Say
from rollcall_agent.settings import Identity

GATHERED_EVERY: Final = 600.0
TRYING_AGAIN: Final = Backoff(base=60.0, cap=3600.0)
# Sent again they would be refused again.
_UNACCEPTABLE: Final = frozenset({400, 413})


class Snapshot(Protocol):
    """The facts of one moment."""

    @property
    def document(self) -> Mapping[str, object]:
        """What is sent."""

    @property
    def sha256(self) -> str:
        """Its digest, 64 hex digits."""


class Collector(Protocol):
    """Whatever can gather the host's facts."""

    def current(self) -> Snapshot:
        """Gather them."""


@dataclass
class Reporting:
    """Reports the facts of one process's host."""

    collector: Collector
    plane: Caller
    clock: Clock
    rng: Random
    say: Say

    def __post_init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._gathered_at: float | None = None
        self._failures = 0
        self._not_before = 0.0
        self._complained = False
        self._refused: str | None = None

    def digest(self) -> str | None:
        """Return the digest of the facts, gathered anew now and then; None where there is none.

        Facts that were refused have none until they change: named, they would be asked for after
        each beat.
        """
        now = self.clock.monotonic()
        if self._gathered_at is None or now - self._gathered_at >= GATHERED_EVERY:
            self._gathered_at = now
            self._snapshot = self._gather() or self._snapshot
        digest = self._snapshot.sha256 if self._snapshot is not None else None
        return None if digest == self._refused else digest

    def accepted(self, identity: Identity, answer: Answer, instance: str) -> None:
        """Send the facts, where the answer to an accepted beat asks for them."""
        wanted = (answer.body or {}).get("facts_wanted") is True
        snapshot = self._snapshot
        if not wanted or snapshot is None or snapshot.sha256 == self._refused:
            return
        if self.clock.monotonic() < self._not_before:
            return
        try:
            put = self._put(identity, snapshot, instance)
        except NoAnswerError as failure:
            self._put_off(f"no answer: {failure.reason}", None)
            return
        if put.succeeded:
            self._failures = 0
            self._complained = False
        elif put.status in _UNACCEPTABLE:
            self._refused = snapshot.sha256
            self._complain(f"the host's facts are not accepted: {explain(put)}")
        else:
            self._put_off(explain(put), put.retry_after)

    def _gather(self) -> Snapshot | None:
        try:
            return self.collector.current()
        except Exception as error:  # noqa: BLE001 - a host may be stranger than any test of ours
            self._complain(f"the host's facts could not be gathered ({type(error).__name__})")
            return None

    def _put(self, identity: Identity, snapshot: Snapshot, instance: str) -> Answer:
        return self.plane.call(
            Call(
                "PUT",
                agent_path(identity.agent_id, "facts"),
                body={
                    "facts_sha256": snapshot.sha256,
                    "facts": dict(snapshot.document),
                    "instance": instance,
                },
                bearer=identity.key,
            )
        )

    def _put_off(self, why: str, asked: float | None) -> None:
        delay = TRYING_AGAIN.delay(self._failures, self.rng, asked)
        self._failures += 1
        self._not_before = self.clock.monotonic() + delay
        self._complain(f"the host's facts could not be sent: {why}")

    def _complain(self, line: str) -> None:
        if not self._complained:
            self._complained = True
            self.say.warn(line)
