"""Trading the runtime key for a new one, so that no crash and no lost answer strands the agent.

Both keys are on disk from the moment that the new one is known until the control plane has
accepted one of them. Whichever is refused meanwhile gives way to the other, and a key goes only
when the other one has just been accepted.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from rollcall_agent.advice import explain
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.backoff import Backoff
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.clock import Clock
from rollcall_agent.identity_file import CannotWriteError, IdentityFile
from rollcall_agent.say import Say
from rollcall_agent.secret import Secret, is_credential
from rollcall_agent.settings import Identity

EARLIEST: Final = 0.5
LATEST: Final = 0.9
# The control plane gives out one pending key a minute.
TRYING_AGAIN: Final = Backoff(base=120.0, cap=3600.0)
SOONEST_AGAIN: Final = 60.0
_UNAUTHORIZED: Final = 401


def rotation_time(key: Secret, issued: float, expires: float) -> float:
    """Return when a key is due: a random point of its second half, the same at each start.

    It follows from the key itself. Drawn anew at each start, a host that restarts often would
    always find an early point; stored, it would be one more thing to lose.
    """
    digest = hashlib.sha256(b"rotation:" + key.reveal().encode()).digest()
    part = EARLIEST + (LATEST - EARLIEST) * int.from_bytes(digest[:6]) / 2**48
    return issued + part * (expires - issued)


def is_due(answer: Answer, key: Secret, now: float) -> bool:
    """Tell from an accepted beat's answer whether the key is to be rotated."""
    if (answer.body or {}).get("rotate_key") is True:
        return True
    issued, expires = (
        answer.moment("runtime_key_issued_at"),
        answer.moment("runtime_key_expires_at"),
    )
    if issued is None or expires is None or expires <= issued:
        return False
    # By the clock that the two times are from: this host's own may be wrong.
    return (answer.moment("server_time") or now) >= rotation_time(key, issued, expires)


@dataclass
class Rotation:
    """Rotates the key of one process's identity."""

    file: IdentityFile
    plane: Caller
    clock: Clock
    rng: Random
    say: Say

    def __post_init__(self) -> None:
        self._failures = 0
        self._not_before = 0.0
        self._ended: set[str] = set()

    def accepted(self, identity: Identity, answer: Answer, instance: str) -> Identity:
        """Go on after an accepted beat: let go of the other key, or rotate where it is time."""
        self._ended.clear()
        if identity.other is not None:
            return self._settle(identity)
        return self._if_due(identity, answer, instance)

    def quarantined(self, identity: Identity, answer: Answer, instance: str) -> Identity:
        """Rotate a key that would end before an operator has decided.

        Both keys stay, since neither is accepted before the release; so there is no second
        rotation until then.
        """
        if identity.other is not None:
            return identity
        return self._if_due(identity, answer, instance)

    def _if_due(self, identity: Identity, answer: Answer, instance: str) -> Identity:
        if self.clock.monotonic() < self._not_before:
            return identity
        if not is_due(answer, identity.key, self.clock.now()):
            return identity
        return self._rotate(identity, instance)

    def refused(self, identity: Identity, answer: Answer) -> Identity:
        """Return the identity with its other key in front, where the shown one was refused.

        It comes back unchanged where there is no other key, where the answer is not about the
        key, and where the control plane has said of both that they will never work again.
        """
        if answer.status != _UNAUTHORIZED or answer.code is None or identity.other is None:
            return identity
        if answer.ends_identity:
            self._ended.add(identity.key.fingerprint())
            if identity.other.fingerprint() in self._ended:
                return identity
        turned = Identity(identity.agent_id, identity.other, identity.key)
        try:
            self.file.put(turned, of=identity.agent_id)
        except CannotWriteError as failure:
            self.say.warn(
                f"the env file could not be written ({failure.reason}); it holds both keys"
            )
        return turned

    def _settle(self, identity: Identity) -> Identity:
        settled = replace(identity, other=None)
        try:
            self.file.put(settled, of=identity.agent_id)
        except CannotWriteError:
            return identity  # both stay, and the next accepted beat tries again
        self._failures = 0
        self.say.note("The runtime key that was shown is accepted; the other one is forgotten.")
        return settled

    def _rotate(self, identity: Identity, instance: str) -> Identity:
        try:
            self.file.prove(identity.agent_id)
            key = self._ask(identity, instance)
            rotated = Identity(identity.agent_id, key, identity.key)
            self.file.put(rotated, of=identity.agent_id)
        except CannotWriteError as failure:
            # A new key that is not on disk would be lost with this process; the old one lives.
            return self._put_off(identity, f"the env file cannot be written ({failure.reason})")
        except NoAnswerError as failure:
            return self._put_off(identity, f"no answer: {failure.reason}")
        except _RefusedError as refusal:
            return self._put_off(identity, explain(refusal.answer), refusal.answer.retry_after)
        self._not_before = self.clock.monotonic() + SOONEST_AGAIN
        self.say.note("The runtime key was rotated; the next beat shows the new one.")
        return rotated

    def _ask(self, identity: Identity, instance: str) -> Secret:
        path = agent_path(identity.agent_id, "runtime-key", "rotate")
        body = {"instance": instance}
        answer = self.plane.call(Call("POST", path, body=body, bearer=identity.key))
        key = answer.text("runtime_key") or ""
        if not answer.succeeded or not is_credential(key) or key == identity.key.reveal():
            raise _RefusedError(answer)
        return Secret(key)

    def _put_off(self, identity: Identity, why: str, asked: float | None = None) -> Identity:
        delay = max(TRYING_AGAIN.delay(self._failures, self.rng, asked), SOONEST_AGAIN)
        if self._failures == 0:
            self.say.warn(f"the runtime key could not be rotated and is kept: {why}")
        self._failures += 1
        self._not_before = self.clock.monotonic() + delay
        return identity


class _RefusedError(Exception):
    """The answer holds no new key."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer
