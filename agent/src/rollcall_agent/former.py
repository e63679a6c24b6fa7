"""The former identity of a host that enrolled again: it ends, and its name goes to the new one.

The new identity is on disk first, and what is needed to end the former is written by the same
rename. So a host that is killed at any step has an identity that works, and what was left undone is
done by the same command again, or by the next ``run`` or ``decommission``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rollcall_agent.client import Caller
from rollcall_agent.decommissioning import Ending
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.identity_file import CannotWriteError, IdentityFile
from rollcall_agent.retry import Retry
from rollcall_agent.say import Say, clean
from rollcall_agent.secret import Secret, is_credential
from rollcall_agent.settings import TOKEN_FINGERPRINT, Identity

FORMER_ID: Final = "ROLLCALL_FORMER_AGENT_ID"
FORMER_KEY: Final = "ROLLCALL_FORMER_AGENT_API_KEY"
FORMER_OTHER_KEY: Final = "ROLLCALL_FORMER_AGENT_PREVIOUS_API_KEY"
FORMER_URL: Final = "ROLLCALL_FORMER_API_BASE_URL"
FORMER_LEAVES_NAME: Final = "ROLLCALL_FORMER_LEAVES_NAME"
_ALL: Final = (FORMER_ID, FORMER_KEY, FORMER_OTHER_KEY, FORMER_URL, FORMER_LEAVES_NAME)
# A control plane that is older does not know that an agent may name its successor.
_NO_SUCCESSION: Final = "validation_failed"
# This host may be a copy, and the former agent the original's: then it is not simply to be ended.
_OF_COPIES: Final = {
    "not_same_machine": "it is another machine's, of which this host may be a copy. Next: nothing; "
    "if that machine is gone, an operator ends it with: rollcall agent decommission FORMER",
    "agent_quarantined": "it is quarantined. Next: an operator ends it with: rollcall agent "
    "decommission FORMER; or, if this host is a copy, lets the original go on with: rollcall agent "
    "release FORMER keep",
    "agent_split": "it goes on as the other copy of this host. Next: nothing.",
}
_UNKNOWN: Final = "agent_not_found"
TOLD: Final = "ROLLCALL_FORMER_WAS_TOLD"
"""Set by the install script to 1, where its enrollment has said that the former has not ended."""
NOTE: Final = "the host has enrolled again"


@dataclass(frozen=True)
class Former:
    """An identity that is to end.

    Attributes:
        url: the base URL of its control plane.
        leaves_name: whether the new identity is to have its name.
    """

    identity: Identity
    url: str
    leaves_name: bool

    def write(self, file: EnvFile) -> None:
        """Put it into the env file, which the caller saves."""
        forget(file)
        file.set(FORMER_ID, self.identity.agent_id)
        file.set(FORMER_KEY, self.identity.key.reveal())
        if self.identity.other is not None:
            file.set(FORMER_OTHER_KEY, self.identity.other.reveal())
        file.set(FORMER_URL, self.url)
        if self.leaves_name:
            file.set(FORMER_LEAVES_NAME, "1")

    @classmethod
    def read(cls, file: EnvFile) -> Former | None:
        """Return the one that the env file notes; None where there is none that can be used."""
        agent_id, key = file.get(FORMER_ID), file.get(FORMER_KEY)
        url, other = file.get(FORMER_URL), file.get(FORMER_OTHER_KEY)
        if not agent_id or not key or not url:
            return None
        if not is_credential(agent_id) or not is_credential(key):
            return None
        usable = Secret(other) if other and is_credential(other) else None
        leaves = file.get(FORMER_LEAVES_NAME) == "1"
        return cls(Identity(agent_id, Secret(key), usable), url, leaves)


def forget(file: EnvFile) -> None:
    """Take the note of a former identity out of the env file, which the caller saves."""
    for name in _ALL:
        file.remove(name)


@dataclass(frozen=True)
class FormerEnding:
    """Ends the former identity that an env file notes.

    Attributes:
        connect: opens a connection to the control plane of a URL, for the length of a block.
        url: the control plane of the identity that the host has now.
        instance_of: as which instance an agent beats on this host, where that is known.
        has_machine_id: whether the control plane can see that the two are of one machine.
        was_told: whether a command just before this one has warned that no answer came.
    """

    path: Path
    url: str
    connect: Callable[[str], AbstractContextManager[Caller]]
    retry: Retry
    say: Say
    instance_of: Callable[[str], str | None]
    has_machine_id: bool = True
    was_told: bool = False

    def run(self, identity: Identity) -> str | None:
        """End it, best effort; a failure is told with the command that ends it.

        Returns:
            What the control plane calls the present agent now, where it said so.
        """
        former = Former.read(EnvFile.load(self.path))
        if former is None:
            return None
        has_ended, name = self._end(former, identity)
        if has_ended:
            self._forget(former, identity)
        return name

    def _end(self, former: Former, identity: Identity) -> tuple[bool, str | None]:
        """Return whether there is nothing left to do here, and the present agent's name."""
        agent_id = former.identity.agent_id
        is_here, ending = former.url == self.url, None
        try:
            with self.connect(former.url) as plane:
                instance = self.instance_of(agent_id)
                ending = Ending(plane, self.retry, self.say, instance, gave_up="Gave up.")
                said = self._ask(ending, former, identity if is_here else None)
        except AgentError as error:
            # Where no answer came, or none of the control plane's, the next start asks again.
            is_final = error.exit_code in {ExitCode.REFUSED, ExitCode.IDENTITY_ENDED}
            if self.was_told and not is_final:
                return False, None
            then = _OF_COPIES.get(ending.code or "") if ending is not None else None
            if then is None:
                later = "" if is_final else "the next start of the agent tries again, or "
                command = self._command(former, identity, is_here)
                then = f"({error.line}) {later}an operator ends it with: {command}"
            said = then.replace("FORMER", agent_id)
            self.say.warn(f"the former agent {agent_id} has not ended: {said}")
            return is_final, None
        name = clean(said or "", 128) or None
        self.say.note(
            f"The former agent {agent_id} has ended."
            + (f" This host keeps the name {name}." if name and former.leaves_name else "")
        )
        return True, name

    def _ask(self, ending: Ending, former: Former, successor: Identity | None) -> str | None:
        try:
            answer = ending.run(
                former.identity, NOTE, successor, keeps_own_name=not former.leaves_name
            )
        except AgentError:
            if ending.code == _UNKNOWN:
                return None
            if successor is None or ending.code != _NO_SUCCESSION:
                raise
            answer = ending.run(former.identity, NOTE)
        return answer.text("successor_name") if answer is not None else None

    def _command(self, former: Former, identity: Identity, is_here: bool) -> str:
        agent_id = former.identity.agent_id
        if is_here and former.leaves_name and self.has_machine_id:
            return f"rollcall agent replace {identity.agent_id} --former {agent_id}"
        return f"rollcall agent decommission {agent_id}"

    def _forget(self, former: Former, identity: Identity) -> None:
        def change(file: EnvFile) -> None:
            noted = Former.read(file)
            if noted is not None and noted.identity.agent_id == former.identity.agent_id:
                forget(file)
                file.remove(TOKEN_FINGERPRINT)

        # Where that fails, the next start finds that the former has ended already.
        with suppress(CannotWriteError):
            IdentityFile(self.path).change({identity.agent_id}, change)
