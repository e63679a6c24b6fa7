"""Putting a staged version into place, one process at a time."""

from __future__ import annotations

from typing import Final

from rollcall_agent.binary_files import BinaryFiles
from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import exclusive
from rollcall_agent.say import clean
from rollcall_agent.staging import Staged
from rollcall_agent.upgrade_memory import Note, UpgradeMemory

# As long as a trial: an older note is one that a killed process left behind.
LONGEST_WAY: Final = 600.0
_SHOWN: Final = 64


def put_in_place(
    staged: Staged, former: str, files: BinaryFiles, memory: UpgradeMemory, clock: Clock
) -> None:
    """Write the note, then exchange the binaries: a note without an exchange is harmless.

    Raises:
        OSError: One of the two could not be written; everything is as it was.
        AgentError: Another process exchanges them, or did so; this one left them as they are.
    """
    with exclusive(memory.made_folder(), "upgrade"):
        remembered = memory.load()
        if _was_exchanged(staged, former, remembered.note, files, clock):
            # Once more, and the binary that is on trial would take the previous one's place.
            return
        memory.save(remembered.with_note(Note(former, staged.version, clock.now())))
        try:
            files.put_in_place(staged.path)
        except OSError:
            memory.save(remembered.with_note(None))
            raise


def _was_exchanged(
    staged: Staged, former: str, note: Note | None, files: BinaryFiles, clock: Clock
) -> bool:
    """Tell whether another process of this host has put the staged version into place already.

    Raises:
        AgentError: It has put yet another version into place.
    """
    if note is None or note.to == former:
        return False
    if note.to == staged.version:
        if not files.is_in_place(staged.path):
            # That process was killed before it could.
            return False
        files.drop(staged.path)
        return True
    if 0 <= clock.now() - note.started_at < LONGEST_WAY:
        files.drop(staged.path)
        raise AgentError(
            f"An upgrade to {clean(note.to, _SHOWN)} is under way on this host. Next: wait for its "
            "end.",
            ExitCode.BUSY,
        )
    return False
