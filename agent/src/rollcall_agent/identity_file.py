"""What the env file says about who this host is: each change of it is one rename."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from rollcall_agent import names
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError
from rollcall_agent.private_files import exclusive, make_parents
from rollcall_agent.settings import (
    PREVIOUS_KEY,
    SPLIT_AGENT_ID,
    SPLIT_INSTANCE,
    SPLIT_KEY,
    Identity,
    Settings,
    SplitNote,
)


class CannotWriteError(Exception):
    """The env file could not be changed, and is as it was before."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class IdentityFile:
    """The env file, as a process that lives on changes it."""

    path: Path

    def newer_than(self, identity: Identity) -> Identity | None:
        """Return the identity that the file holds, where this one does not know it.

        Another process may have rotated the key, or given the host another agent's identity.
        """
        try:
            found = Settings(self.path, {}, EnvFile.load(self.path)).identity()
        except AgentError:
            return None
        if found is None:
            return None
        known = {identity.key, identity.other}
        is_known = found.key in known and (found.other is None or found.other in known)
        return None if found.agent_id == identity.agent_id and is_known else found

    def prove(self, agent_id: str) -> None:
        """Write the file as it is, before something is asked for that it must then hold."""
        self.change({agent_id}, lambda _file: None)

    def put(self, identity: Identity, *, of: str) -> None:
        """Write an identity in the place of agent ``of``."""
        self.change({of}, lambda file: set_identity(file, identity))

    def note_split(self, note: SplitNote) -> None:
        """Write down that a split is under way."""

        def change(file: EnvFile) -> None:
            file.set(SPLIT_AGENT_ID, note.agent_id)
            file.set(SPLIT_INSTANCE, note.instance)
            file.set(SPLIT_KEY, note.key.reveal())

        self.change({note.agent_id}, change)

    def drop_split(self, agent_id: str) -> None:
        """Forget a split."""
        self.change({agent_id}, _forget_split)

    def forget_identity(self, agent_id: str, comment: str) -> None:
        """Replace the identity by a comment; the key is gone."""

        def change(file: EnvFile) -> None:
            for name in (*names.AGENT_IDS, *names.AGENT_KEYS):
                file.comment_out(name, f"{name} {comment}")
            file.remove(PREVIOUS_KEY)
            _forget_split(file)

        self.change({agent_id}, change)

    def change(self, agents: AbstractSet[str], change: Callable[[EnvFile], None]) -> None:
        """Change the file under its lock, if it is nobody else's than one of these agents'.

        Raises:
            CannotWriteError: It is as it was.
        """
        try:
            make_parents(self.path)
            with exclusive(self.path.resolve().parent):
                file = EnvFile.load(self.path)
                holder = names.first(names.AGENT_IDS, file.get)
                if holder is not None and holder[1] not in agents:
                    # Somebody gave the host another identity meanwhile: that one is not ours.
                    raise CannotWriteError("it holds another agent's identity by now")
                change(file)
                file.save(self.path)
        except OSError as error:
            raise CannotWriteError(error.strerror or type(error).__name__) from error
        except AgentError as error:
            raise CannotWriteError(error.line) from error


def set_identity(file: EnvFile, identity: Identity) -> None:
    """Put an identity into a file, under the names that it uses already."""
    family = names.names_of(file)
    key_name = names.name_for(names.AGENT_KEYS, family.agent_key, file)
    id_name = names.name_for(names.AGENT_IDS, family.agent_id, file)
    values = [(id_name, identity.agent_id), (key_name, identity.key.reveal())]
    if family.agent_id is None:
        # Such a file ends with the key, as its document has it; the id is what comes on top.
        values.reverse()
    for name, value in values:
        file.set(name, value)
    if identity.other is not None:
        file.set(PREVIOUS_KEY, identity.other.reveal())
    else:
        file.remove(PREVIOUS_KEY)
    if file.get(SPLIT_AGENT_ID) not in {None, identity.agent_id}:
        _forget_split(file)


def _forget_split(file: EnvFile) -> None:
    for name in (SPLIT_KEY, SPLIT_AGENT_ID, SPLIT_INSTANCE):
        file.remove(name)
