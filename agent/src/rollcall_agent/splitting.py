"""Taking an identity of its own, for the copy of an agent that an operator chose to split off.

The order is the one of enrolling: what identifies the attempt is on disk before anything is asked
for, so a copy that is killed anywhere in between asks again and gets the same agent.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from rollcall_agent.answers import Answer
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.identity_file import CannotWriteError, IdentityFile
from rollcall_agent.say import Say
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Identity, SplitNote

AGENT_SPLIT = "agent_split"
NOT_SPLIT = "not_split"


@dataclass
class Splitting:
    """The split of one process's identity.

    Attributes:
        note: What is on disk about a split under way.
    """

    file: IdentityFile
    plane: Caller
    say: Say
    note: SplitNote | None = None

    def begin(self, identity: Identity, instance: str) -> bool:
        """Write the attempt down; False where that fails, and then nothing may be asked for."""
        if self.note is not None and self.note.agent_id == identity.agent_id:
            return True
        note = SplitNote(identity.agent_id, instance, Secret(secrets.token_urlsafe(32)))
        try:
            self.file.note_split(note)
        except CannotWriteError as failure:
            self.say.warn(
                "this copy is to take an identity of its own, but its env file cannot be written "
                f"({failure.reason}). Next: restore write access; until then it beats slowly"
            )
            return False
        self.note = note
        return True

    def ask(self, identity: Identity, note: SplitNote) -> Answer:
        """Ask for the identity; raise NoAnswerError where no answer came."""
        return self.plane.call(
            Call(
                "POST",
                agent_path(identity.agent_id, "split"),
                body={"instance": note.instance},
                bearer=identity.key,
                headers={"Idempotency-Key": note.key.reveal()},
            )
        )

    def drop(self) -> None:
        """Forget the attempt: there is nothing to take."""
        note, self.note = self.note, None
        if note is None:
            return
        try:
            self.file.drop_split(note.agent_id)
        except CannotWriteError as failure:
            self.say.warn(f"the note of a split stays in the env file ({failure.reason})")
