"""Ending this host's agent from the host itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.identity_file import CannotWriteError, IdentityFile
from rollcall_agent.retry import Retry, settled
from rollcall_agent.say import Say
from rollcall_agent.settings import Identity

REMOVED = "removed: the agent was decommissioned"


@dataclass(frozen=True)
class Decommissioning:
    """Ends the agent of one env file."""

    path: Path
    plane: Caller
    retry: Retry
    say: Say

    def run(self, identity: Identity, note: str | None = None) -> None:
        """End the agent, then take its identity out of the env file.

        In this order: an identity that is gone from the host could not be ended by it any more.
        Killed in between, the same command finds the key ended and only cleans up.
        """
        file = IdentityFile(self.path)
        self._writing(lambda: file.prove(identity.agent_id), "nothing was sent")
        self._end(identity, note)
        self._writing(
            lambda: file.forget_identity(identity.agent_id, REMOVED),
            f"{identity.agent_id} has ended all the same, and its key is worth nothing",
        )
        self.say.result(f"{identity.agent_id} is decommissioned; its identity is off this host.")

    def _end(self, identity: Identity, note: str | None) -> None:
        path = agent_path(identity.agent_id, "decommission")
        body: dict[str, object] = {"note": note} if note else {}
        gave_up = "Gave up. Running the same command again is safe."
        try:
            self.retry.run(
                lambda left: settled(
                    lambda: self.plane.call(
                        Call("POST", path, body=body, bearer=identity.key, timeout=left)
                    )
                ),
                gave_up=gave_up,
            )
        except AgentError as error:
            if error.exit_code is not ExitCode.IDENTITY_ENDED:
                raise
            self.say.note(f"{identity.agent_id} had ended before: its key is refused for good.")

    def _writing(self, write: Callable[[], None], else_: str) -> None:
        try:
            write()
        except CannotWriteError as failure:
            raise AgentError(
                f"Cannot write {self.path} ({failure.reason}); {else_}. Next: run as the file's "
                "owner, or restore write access, then run the same command again.",
                ExitCode.USAGE,
            ) from failure
