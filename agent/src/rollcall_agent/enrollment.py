"""Trading an enrollment token for an identity, so that a crash at any moment loses nothing.

The order is the whole point. What identifies this attempt (the idempotency key, and which token
it belongs to) is on disk before the token is shown to anybody. From then on the control plane
answers every repetition with the same agent, so a process killed anywhere between here and the
last rename is resumed by simply running it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from rollcall_agent import names
from rollcall_agent.answers import Answer
from rollcall_agent.client import Call, Caller
from rollcall_agent.clock_skew import SkewWatch
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.former import Former
from rollcall_agent.heartbeat import LONGEST_INTERVAL
from rollcall_agent.identity_file import IdentityFile, set_identity
from rollcall_agent.private_files import exclusive, make_parents
from rollcall_agent.retry import Retry, TransientError, settled
from rollcall_agent.say import Say, clean
from rollcall_agent.secret import Secret, is_credential
from rollcall_agent.settings import IDEMPOTENCY_KEY, TOKEN_FINGERPRINT, Identity, Settings

EXCHANGE_PATH: Final = "/api/v1/agent-enrollment/exchange"
CONSUMED: Final = "consumed during enrollment"
NAME_TAKEN: Final = "name_taken"
SAFE_TO_REPEAT: Final = (
    "Running the same command again is safe: it ends with one agent and one use of the token."
)


@dataclass(frozen=True)
class Ask:
    """What one enrollment asks for.

    Attributes:
        former: The identity that is given up for the new one, where there is one.
        former_url: Where that one's control plane is.
    """

    token: Secret
    base_url: str
    facts: Mapping[str, str]
    name: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    former: Identity | None = None
    former_url: str = ""

    @property
    def replaces(self) -> str | None:
        """The agent whose identity is given up."""
        return self.former.agent_id if self.former is not None else None

    def body(self) -> dict[str, object]:
        """Return the body of the exchange."""
        body: dict[str, object] = dict(self.facts)
        if self.name:
            body["name"] = self.name
        if self.labels:
            body["labels"] = dict(self.labels)
        return body


@dataclass(frozen=True)
class Enrolled:
    """How an enrollment ended.

    Attributes:
        name: What the control plane calls the agent; None where it was enrolled before.
        persisted: Whether the identity is on disk.
        interval: How often to beat until the first answer to a beat says otherwise.
    """

    identity: Identity
    name: str | None
    persisted: bool = True
    interval: float | None = None


@dataclass(frozen=True)
class Enrollment:
    """Enrolls this host with what it is given."""

    path: Path
    plane: Caller
    retry: Retry
    say: Say

    def run(self, ask: Ask) -> Enrolled:
        """Enroll, or resume an enrollment that was interrupted."""
        try:
            make_parents(self.path)
            with exclusive(self.path.resolve().parent):
                return self._run_alone(ask)
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def _run_alone(self, ask: Ask) -> Enrolled:
        file = EnvFile.load(self.path)
        agent_id = names.first(names.AGENT_IDS, file.get)
        key = names.first(names.AGENT_KEYS, file.get)
        if agent_id and key and agent_id[1] != ask.replaces:
            # Another process may have finished between the caller's look and the lock.
            return Enrolled(Identity(agent_id[1], Secret(key[1])), name=None)
        if (done := self._replaced_before(file, ask)) is not None:
            return done
        is_new = file.get(TOKEN_FINGERPRINT) != ask.token.fingerprint()
        idempotency_key = self._remember_attempt(file, ask)
        answer = self._exchange(file, ask, idempotency_key, is_new=is_new)
        identity = identity_of(answer)
        SkewWatch(self.say).look(answer, self.retry.clock.now())
        name = clean(answer.text("name") or "", 128)
        persisted = self._persist(file, ask, identity, name)
        return Enrolled(identity, name, persisted, interval_of(answer))

    def _replaced_before(self, file: EnvFile, ask: Ask) -> Enrolled | None:
        """Return the identity that this token gave already, where only the former is to end yet."""
        noted = Former.read(file)
        if noted is None or ask.former is None:
            return None
        if file.get(IDEMPOTENCY_KEY) is None and self._is_same_token(file, ask):
            return Enrolled(ask.former, name=None)
        self.say.warn(
            f"the agent {noted.identity.agent_id} that this host had before has not ended, and its "
            "key is given up. Next: have an operator run "
            f"rollcall agent decommission {noted.identity.agent_id}"
        )
        return None

    def _is_same_token(self, file: EnvFile, ask: Ask) -> bool:
        return file.get(TOKEN_FINGERPRINT) == ask.token.fingerprint()

    def persist(self, ask: Ask, identity: Identity) -> None:
        """Write an identity that could not be written at once.

        Raises:
            CannotWriteError: It still cannot.
        """
        agents = {identity.agent_id, *([ask.replaces] if ask.replaces else [])}
        name = ""  # what it is called was said when it could not be written
        IdentityFile(self.path).change(agents, lambda file: self._put(file, ask, identity, name))

    def _remember_attempt(self, file: EnvFile, ask: Ask) -> Secret:
        """Put this attempt on disk before the token is spent.

        The file is written also where nothing changes: it proves that the identity will fit,
        while giving up still costs nothing.
        """
        stored = file.get(IDEMPOTENCY_KEY)
        same_token = file.get(TOKEN_FINGERPRINT) == ask.token.fingerprint()
        if stored and not same_token:
            self.say.warn(
                "an enrollment with another token was interrupted on this host and is given up. "
                "Next: if an operator sees an agent of this host that never came online, revoke it."
            )
        if not stored or not same_token:
            stored = secrets.token_urlsafe(32)
        if ask.former is None:
            self._set_url(file, ask)
        file.set(IDEMPOTENCY_KEY, stored)
        file.set(TOKEN_FINGERPRINT, ask.token.fingerprint())
        file.save(self.path)
        return Secret(stored)

    def _set_url(self, file: EnvFile, ask: Ask) -> None:
        file.set(names.name_for(names.URLS, names.names_of(file).url, file), ask.base_url)

    def _exchange(
        self, file: EnvFile, ask: Ask, idempotency_key: Secret, *, is_new: bool
    ) -> Answer:
        is_open, code = not is_new, None

        def ask_once(call: Call) -> Answer:
            nonlocal code
            answer = self.plane.call(call)
            code = answer.code
            return answer

        def step(left: float) -> Answer:
            nonlocal is_open
            call = Call(
                "POST",
                EXCHANGE_PATH,
                body=ask.body(),
                bearer=ask.token,
                headers={"Idempotency-Key": idempotency_key.reveal()},
                timeout=left,
            )
            try:
                return settled(lambda: ask_once(call))
            except TransientError:
                is_open = True
                raise
            except AgentError as error:
                if code == NAME_TAKEN and ask.former is not None and ask.name is not None:
                    # By the former agent, most likely, which leaves it to this one afterwards.
                    raise _NameTakenError from error
                if error.exit_code is ExitCode.REFUSED and not is_open:
                    self._forget_attempt(file)
                raise

        try:
            return self.retry.run(step, gave_up=f"Gave up. {SAFE_TO_REPEAT}")
        except _NameTakenError:
            return self._exchange(file, replace(ask, name=None), idempotency_key, is_new=is_new)

    def _forget_attempt(self, file: EnvFile) -> None:
        """Forget an attempt of which every request was refused: there is nothing to resume."""
        file.remove(IDEMPOTENCY_KEY)
        file.remove(TOKEN_FINGERPRINT)
        # Where that fails it stays, and the next enrollment says that it gives it up.
        with suppress(OSError):
            file.save(self.path)

    def _persist(self, file: EnvFile, ask: Ask, identity: Identity, name: str) -> bool:
        """Write the identity, and say so where that fails."""
        try:
            self._put(file, ask, identity, name)
            file.save(self.path)
        except OSError as error:
            self.say.warn(
                f"enrolled as {identity.agent_id}, but {self.path} could not be written "
                f"({error.strerror}). Next: make room or restore write access"
            )
            return False
        return True

    def _put(self, file: EnvFile, ask: Ask, identity: Identity, name: str) -> None:
        """Put the identity in and the attempt out: both reach the disk in one rename.

        So does the note of the former identity, and the URL of the new one's control plane: until
        then the host is who it was, where it was.
        """
        if ask.former is not None:
            # The file's own keys are the newer ones, where a running agent rotated them.
            held = Settings(self.path, {}, file).identity()
            former = held if held and held.agent_id == ask.former.agent_id else ask.former
            leaves_name = ask.name is None or name.lower() != ask.name.lower()
            Former(former, ask.former_url or ask.base_url, leaves_name).write(file)
            self._set_url(file, ask)
        set_identity(file, identity)
        for setting in names.TOKENS:
            if file.get(setting) == ask.token.reveal():
                file.comment_out(setting, f"{setting} {CONSUMED}")
            elif file.get(setting):
                self.say.warn(f"{self.path} holds another {setting}, which was not used; remove it")
        file.remove(IDEMPOTENCY_KEY)
        if ask.former is None:
            # Else it stays until the former has ended: by it the same command is known again.
            file.remove(TOKEN_FINGERPRINT)


class _NameTakenError(Exception):
    """Another agent has the name that was asked for; nothing was spent."""


def identity_of(answer: Answer) -> Identity:
    """Take the identity out of the answer, if it can be stored as it is."""
    agent_id, key = answer.text("agent_id") or "", answer.text("runtime_key") or ""
    if not is_credential(agent_id) or not is_credential(key):
        raise AgentError(
            f"The control plane's answer holds no usable identity. {SAFE_TO_REPEAT}",
            ExitCode.UNREACHABLE,
        )
    return Identity(agent_id, Secret(key))


def interval_of(answer: Answer) -> float | None:
    """Return how often the new agent is to beat, under our own or a sensor's name."""
    for name in ("heartbeat_interval_seconds", "heartbeatIntervalSeconds"):
        if (interval := answer.number(name, 1, LONGEST_INTERVAL)) is not None:
            return interval
    return None


def _cannot_write(path: Path, error: OSError) -> AgentError:
    return AgentError(
        f"Cannot write {path} ({error.strerror}); the token was not spent. Next: run as the "
        "file's owner, or name a file in a writable folder with --config (a container must mount "
        "the folder, not the file).",
        ExitCode.UNREADY,
    )
