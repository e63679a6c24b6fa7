"""Ending this host's agent from the host itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rollcall_agent.answers import Answer
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.identity_file import CannotWriteError, IdentityFile
from rollcall_agent.retry import Retry, settled
from rollcall_agent.say import Say
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Identity

REMOVED = "removed: the agent was decommissioned"
_REVOKED = "key_revoked"
_UNAUTHORIZED = 401


@dataclass
class Ending:
    """Ends an agent with a key that this host holds.

    Attributes:
        instance: As which instance the agent beats on this host, where that is known: of two
            copies, the one that is to be split off must not end the other one's agent.
        gave_up: What the error says where no answer came within the time.
        code: What the control plane said last, where it refused.
    """

    plane: Caller
    retry: Retry
    say: Say
    instance: str | None = None
    gave_up: str = "Gave up. Running the same command again is safe."
    code: str | None = None

    def run(
        self,
        identity: Identity,
        note: str | None = None,
        successor: Identity | None = None,
        *,
        keeps_own_name: bool = False,
    ) -> Answer | None:
        """End it with the key that is shown, or with the other one of a rotation under way.

        Args:
            identity: of the agent that ends.
            note: why, for the record.
            successor: the host's next identity.
            keeps_own_name: whether that one is not to have the agent's name.

        Returns:
            The answer; None where the agent had ended before.
        """
        body: dict[str, object] = {}
        if note:
            body["note"] = note
        if self.instance:
            body["instance"] = self.instance
        if successor is not None:
            named = {"agent_id": successor.agent_id, "runtime_key": successor.key.reveal()}
            body["successor"] = {**named, **({"keeps_own_name": True} if keeps_own_name else {})}
        try:
            return self._ask(identity.agent_id, identity.key, body)
        except _KeyRefusedError as refusal:
            if identity.other is None:
                raise refusal.error from refusal
        try:
            return self._ask(identity.agent_id, identity.other, body)
        except _KeyRefusedError as refusal:
            raise refusal.error from refusal

    def _ask(self, agent_id: str, key: Secret, body: Mapping[str, object]) -> Answer | None:
        path, answers = agent_path(agent_id, "decommission"), list[Answer]()

        def step(left: float) -> Answer:
            answers.append(self.plane.call(Call("POST", path, body=body, bearer=key, timeout=left)))
            return answers[-1]

        try:
            return self.retry.run(lambda left: settled(lambda: step(left)), gave_up=self.gave_up)
        except AgentError as error:
            last = answers[-1] if answers else None
            self.code = last.code if last is not None else None
            if last is None or last.status != _UNAUTHORIZED or last.code is None:
                raise
            if last.code != _REVOKED:
                # Only this key is worth nothing: another process rotated it, or a rotation broke
                # off. The agent may live on.
                raise _KeyRefusedError(AgentError(error.line, ExitCode.REFUSED)) from error
            self.say.note(f"{agent_id} had ended before: its key is refused for good.")
            return None


@dataclass(frozen=True)
class Decommissioning:
    """Ends the agent of one env file.

    Attributes:
        instance: As which instance the agent beats on this host, where that is known: of two
            copies, the one that is to be split off must not end the other one's agent.
    """

    path: Path
    plane: Caller
    retry: Retry
    say: Say
    instance: str | None = None

    def run(self, identity: Identity, note: str | None = None) -> None:
        """End the agent, then take its identity out of the env file.

        In this order: an identity that is gone from the host could not be ended by it any more.
        Killed in between, the same command finds the key ended and only cleans up.
        """
        file = IdentityFile(self.path)
        self._writing(lambda: file.prove(identity.agent_id), "nothing was sent")
        Ending(self.plane, self.retry, self.say, self.instance).run(identity, note)
        self._writing(
            lambda: file.forget_identity(identity.agent_id, REMOVED),
            f"{identity.agent_id} has ended all the same, and its key is worth nothing",
        )
        self.say.result(f"{identity.agent_id} is decommissioned; its identity is off this host.")

    def _writing(self, write: Callable[[], None], else_: str) -> None:
        try:
            write()
        except CannotWriteError as failure:
            raise AgentError(
                f"Cannot write {self.path} ({failure.reason}); {else_}. Next: run as the file's "
                "owner, or restore write access, then run the same command again.",
                ExitCode.UNREADY,
            ) from failure


class _KeyRefusedError(Exception):
    """One key of the agent was refused, which says nothing of the other."""

    def __init__(self, error: AgentError) -> None:
        super().__init__(error.line)
        self.error = error
