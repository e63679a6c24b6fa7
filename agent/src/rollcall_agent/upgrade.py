"""The agent's own upgrades: fetched beside the beats, confirmed by a beat, or taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from rollcall_agent.backoff import Backoff
from rollcall_agent.binary_files import BinaryFiles
from rollcall_agent.clock import Clock
from rollcall_agent.exchanging import put_in_place
from rollcall_agent.exits import AgentError, RestartRequestedError
from rollcall_agent.say import Say, clean
from rollcall_agent.staging import Staged, StagingError, UnusableError
from rollcall_agent.upgrade_memory import Note, Remembered, UpgradeMemory

MOST_STARTS: Final = 2
LONGEST_TRIAL: Final = 600.0
# Where beats are slow, one that was lost must not end a trial.
MOST_MISSES: Final = 3
RETRIES: Final = Backoff(base=60.0, cap=3600.0)
_SHOWN: Final = 64


class Stage(Protocol):
    """Whatever can bring a version onto this host."""

    def stage(self, version: str) -> Staged:
        """Stage a version; raise StagingError where that failed."""


@dataclass(frozen=True)
class Outcome:
    """How a staging ended."""

    staged: Staged | None = None
    error: StagingError | None = None


class Job:
    """One staging under way. A download must not hold a beat up, so it has a thread of its own."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.outcome: Outcome | None = None

    def work(self, stage: Stage) -> None:
        """Stage, and leave the outcome behind."""
        try:
            self.outcome = Outcome(staged=stage.stage(self.version))
        except StagingError as error:
            self.outcome = Outcome(error=error)
        except Exception as error:  # noqa: BLE001 - told by the loop, which goes on beating
            self.outcome = Outcome(error=StagingError(f"a defect: {type(error).__name__}"))


def in_a_thread(work: Callable[[], None]) -> None:
    """Run something beside the beats; a daemon, so that it cannot hold up the process's end."""
    threading.Thread(target=work, name="upgrade", daemon=True).start()


class Upgrade:
    """What the loop asks about upgrades: at the start, after each beat, and for a wish.

    Args:
        version: Our own.
        refusal: Why this agent never replaces itself, or None where it may.
        files: The binary; None where this is not the one-file build.
        stage: Brings versions onto this host; None where nothing is pinned to trust.
        apart: Runs something beside the beats.
    """

    def __init__(
        self,
        *,
        version: str,
        refusal: str | None,
        files: BinaryFiles | None,
        stage: Stage | None,
        memory: UpgradeMemory,
        clock: Clock,
        say: Say,
        apart: Callable[[Callable[[], None]], None] = in_a_thread,
    ) -> None:
        self._version = version
        self._refusal = refusal
        self._files = files
        self._stage = stage
        self._memory = memory
        self._clock = clock
        self._say = say
        self._apart = apart
        self._job: Job | None = None
        self._wish = ""
        self._failures = 0
        self._not_before = 0.0
        self._told: set[str] = set()
        # Since when this version is on trial, by the monotonic clock; None once it is confirmed.
        self._trial: float | None = None
        self._unconfirmed = False
        self._misses = 0

    @property
    def is_idle(self) -> bool:
        """Whether no version is on its way."""
        return self._job is None

    def at_start(self) -> None:
        """Look at what the last start left behind.

        Raises:
            RestartRequestedError: This version was on trial and failed; the previous one is back.
        """
        if self._files is None:
            return
        remembered = self._memory.load()
        note = remembered.note
        if note is None or note.to != self._version:
            self._files.clear()
            if note is not None:
                self._put_away(remembered, note)
            return
        if note.going_back or note.attempts >= MOST_STARTS:
            self._go_back(self._files, f"{note.attempts} starts without an accepted beat")
        self._trial = self._clock.monotonic()
        self._unconfirmed = True
        tried = Note(note.former, note.to, note.started_at, note.attempts + 1)
        self._save(remembered.with_note(tried))

    def accepted(self) -> None:
        """Confirm this version: it can do what it is for."""
        self._trial = None
        if not self._unconfirmed:
            return
        remembered = self._memory.load()
        if self._save(remembered.with_note(None)):
            self._unconfirmed = False
            former = remembered.note.former if remembered.note else "another version"
            self._say.note(f"Upgraded from {former} to {self._version}.")

    def not_accepted(self) -> None:
        """Give this version up where it is on trial and has had its time and its chances.

        Raises:
            RestartRequestedError: The previous version is back.
        """
        if self._trial is None or self._files is None:
            return
        self._misses += 1
        has_had_its_time = self._clock.monotonic() - self._trial > LONGEST_TRIAL
        if self._misses >= MOST_MISSES and has_had_its_time:
            self._go_back(self._files, f"no accepted beat within {LONGEST_TRIAL:.0f} s")

    def ended(self, why: str) -> None:
        """Give this version up where it is on trial and ends for good: nobody would start it again.

        Raises:
            RestartRequestedError: The previous version is back.
        """
        if self._trial is not None and self._files is not None:
            self._go_back(self._files, f"it ended for good ({clean(why)})")

    def wanted(self, version: str) -> None:
        """Take the environment's wish; most beats find that there is nothing to do.

        Raises:
            RestartRequestedError: The wanted version is in place.
        """
        if version == self._version or self._files is None or self._stage is None:
            self._refuse(version)
            return
        if self._refusal is not None:
            self._refuse(version)
            return
        if self._job is not None:
            self._look_at(self._job, version, self._files)
            return
        if version != self._wish:
            # What failed of one version must not hold up the one that corrects it.
            self._wish, self._failures, self._not_before = version, 0, 0.0
        if self._clock.monotonic() < self._not_before:
            return
        if self._memory.load().is_failed(version, self._clock.now()):
            shown = clean(version, _SHOWN)
            self._tell_once(f"{shown} failed on this host and is left alone for a day")
            return
        job, stage = Job(version), self._stage
        self._job = job
        self._apart(lambda: job.work(stage))
        self._look_at(job, version, self._files)

    def _refuse(self, version: str) -> None:
        if version != self._version and self._refusal is not None:
            self._tell_once(f"{clean(version, _SHOWN)} is wanted, but {self._refusal}")

    def _look_at(self, job: Job, version: str, files: BinaryFiles) -> None:
        outcome = job.outcome
        if outcome is None:
            return
        self._job = None
        if job.version != version:
            # The wish changed while this one was on its way.
            return
        if outcome.staged is not None:
            self._exchange(outcome.staged, files)
            return
        why = f"no upgrade to {clean(job.version, _SHOWN)}: {outcome.error}"
        if isinstance(outcome.error, UnusableError):
            self._remember_failure(job.version)
            self._tell_once(f"{why}; it is left alone for a day")
            return
        self._put_off(why)

    def _exchange(self, staged: Staged, files: BinaryFiles) -> None:
        try:
            put_in_place(staged, self._version, files, self._memory, self._clock)
        except AgentError as error:
            self._put_off(f"no upgrade to {staged.version}: {error.line}")
            return
        except OSError as error:
            self._put_off(
                f"no upgrade to {staged.version}: the binary could not be exchanged "
                f"({error.strerror}). Next: let the service write to the binary's folder"
            )
            return
        # From here on nothing may be imported: the one-file build reads its modules from its own
        # file, which is another one now.
        raise RestartRequestedError(f"Upgrading from {self._version} to {staged.version}.")

    def _go_back(self, files: BinaryFiles, why: str) -> None:
        """Put the previous version back; each step is repeated by the next start if need be."""
        remembered = self._memory.load()
        note = remembered.note or Note("the previous version", self._version, self._clock.now())
        self._trial = None
        if not files.can_go_back():
            self._say.warn(
                f"{self._version}: {why}, and there is no previous version to go back to"
            )
            self._save(remembered.with_note(None))
            return
        given_up = Note(note.former, note.to, note.started_at, note.attempts, going_back=True)
        failed = remembered.with_failed(self._version, self._clock.now())
        self._save(failed.with_note(given_up))
        try:
            files.go_back()
        except OSError as error:
            self._say.warn(f"cannot go back to {note.former} ({error.strerror})")
            return
        raise RestartRequestedError(f"Going back from {self._version} to {note.former}: {why}.")

    def _put_away(self, remembered: Remembered, note: Note) -> None:
        """End the note of another version: it was taken back, or never came into place."""
        if note.going_back:
            self._say.warn(
                f"{note.to} did not work on this host; {self._version} is back, and {note.to} is "
                "left alone for a day"
            )
        self._save(remembered.with_note(None))

    def _remember_failure(self, version: str) -> None:
        self._save(self._memory.load().with_failed(version, self._clock.now()))

    def _save(self, remembered: Remembered) -> bool:
        try:
            self._memory.save(remembered)
        except OSError as error:
            self._tell_once(f"the state folder cannot be written ({error.strerror})")
            return False
        return True

    def _put_off(self, why: str) -> None:
        wait = RETRIES.ceiling(self._failures)
        self._failures += 1
        self._not_before = self._clock.monotonic() + wait
        self._say.warn(f"{why}; the next try is in {wait:.0f} s")

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._say.warn(line)
