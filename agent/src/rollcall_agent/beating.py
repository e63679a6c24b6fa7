"""The loop around the heartbeat's state machine: sends, prints, waits, runs the errands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from rollcall_agent import __version__
from rollcall_agent.advice import BY_OPERATOR, quarantine_reason
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.clock import Clock
from rollcall_agent.clock_skew import SkewWatch
from rollcall_agent.enrollment import identity_of
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.heartbeat import LONGEST_INTERVAL, Heartbeat, State, Step, is_accepted
from rollcall_agent.identity_file import CannotWriteError
from rollcall_agent.instance import Instance
from rollcall_agent.last_state import Beaten
from rollcall_agent.persistence import Persistence
from rollcall_agent.reporting import Reporting
from rollcall_agent.rotation import Rotation
from rollcall_agent.say import Say
from rollcall_agent.settings import Identity
from rollcall_agent.splitting import AGENT_SPLIT, NOT_SPLIT, Splitting

SEQUENCE_STALE = "sequence_stale"
AGENT_QUARANTINED = "agent_quarantined"
Remember = Callable[[str, str, float, Beaten], None]


class Upgrader(Protocol):
    """Whatever brings another version of the agent onto the host.

    Each of these may raise RestartRequestedError: another version is in place, and the process is
    to end so that its service manager starts that one.
    """

    def accepted(self) -> None:
        """Take note that the version that runs was accepted by the control plane."""

    def not_accepted(self) -> None:
        """Take note that it was not."""

    def wanted(self, version: str) -> None:
        """Take note that the environment wants another version, at each beat that says so."""


class NoUpgrades:
    """Stays with the version that runs."""

    def accepted(self) -> None:
        """Leave it at that."""

    def not_accepted(self) -> None:
        """Leave it at that."""

    def wanted(self, version: str) -> None:
        """Leave it at that."""


@dataclass(frozen=True)
class Errands:
    """What is done beside beating."""

    rotation: Rotation
    splitting: Splitting
    persistence: Persistence
    reporting: Reporting
    upgrader: Upgrader


@dataclass
class Beating:
    """Beats for this host, whose identity may change meanwhile.

    Attributes:
        heartbeat: Of the agent that beats now; ``begin`` makes one for an id and an interval.
        beaten: What is known of this identity's beats before this process; None for a new one.
        interval: How often a new one is to beat until an answer says so; None where nobody knows.
        remember: Is told each change of state.
    """

    identity: Identity
    plane: Caller
    begin: Callable[[str, float | None], Heartbeat]
    errands: Errands
    instance: Instance
    clock: Clock
    say: Say
    remember: Remember
    beaten: Beaten | None = None
    verbose: bool = False
    interval: float | None = None

    def __post_init__(self) -> None:
        interval = self.beaten.interval if self.beaten is not None else self.interval
        self.heartbeat = self.begin(self.identity.agent_id, interval)
        self._skew = SkewWatch(self.say)
        self._answered_at = 0.0
        self._remembered_instance: str | None = None
        note = self.errands.splitting.note
        # A split that was cut short is asked for before any beat: the note names the instance
        # that was chosen, and a beat of this new process would be somebody else's.
        self._asks_to_split = note is not None and note.agent_id == self.identity.agent_id

    def run(self) -> None:
        """Beat until the clock says stop, or the identity has ended (raised as AgentError)."""
        if self.beaten is not None:
            wait = self.heartbeat.first_wait(self.clock.now())
            self.say.note(f"This agent's slot in the interval is in {wait:.1f} s.")
            self.clock.sleep(wait)
        while True:
            step = self._turn()
            if step.delay is None:
                raise AgentError(step.detail, step.exit_code)
            self._report(step)
            if self.heartbeat.state is not State.ONLINE:
                self.errands.upgrader.not_accepted()
            # The wait counts from the answer, whatever was done after it.
            spent = self.clock.monotonic() - self._answered_at
            self.clock.sleep(max(step.delay - spent, 0.0))

    def once(self) -> None:
        """Send a single beat; raise AgentError where it was not accepted."""
        step = self._turn()
        if step.exit_code is not ExitCode.OK:
            raise AgentError(step.detail, step.exit_code)
        self.say.result(step.detail)

    def _turn(self) -> Step:
        """Send one request that decides how to go on: a beat, or the question of a split."""
        self.instance.look()
        self.errands.persistence.settle()
        if self._asks_to_split:
            return self._ask_to_split()
        outcome = self._answer_to(self._send)
        return outcome if isinstance(outcome, Step) else self._take(outcome)

    def _take(self, answer: Answer) -> Step:
        """Take the answer to a beat."""
        if (followed := self._follow_the_file(answer)) is not None:
            return followed
        turned = self.errands.rotation.refused(self.identity, answer)
        has_turned = turned is not self.identity
        if has_turned:
            self.identity = turned
            self.instance.renew()
        if answer.code == SEQUENCE_STALE:
            # Somebody beats with this very instance: a copy that was made with its memory, or the
            # machine that this one is a restored snapshot of. Under a name of its own it is a
            # restart if the other one is gone, and noticed as a copy if it is not.
            self.instance.renew()
        step = self.heartbeat.answered(answer, self.clock.now(), is_last_key=not has_turned)
        if is_accepted(answer):
            self.beaten = Beaten(self.identity.agent_id, self.heartbeat.interval)
        if answer.code == AGENT_QUARANTINED and quarantine_reason(answer) != BY_OPERATOR:
            # An operator sees the copies by these names, and has to know which host is which.
            step = replace(step, detail=f"{step.detail} This copy is {self.instance.fingerprint}.")
        self._remember(step)
        if answer.code == AGENT_SPLIT and self._begin_split():
            return self._ask_to_split()
        if is_accepted(answer):
            self._follow(answer)
        elif answer.code == AGENT_QUARANTINED and not self.errands.persistence.is_owed:
            rotation, name = self.errands.rotation, self.instance.name
            self.identity = rotation.quarantined(self.identity, answer, name)
        return step

    def _follow_the_file(self, answer: Answer) -> Step | None:
        """Go on as what the env file says, where this identity has ended and that is another.

        A second process rotated the key, or `enroll --replace` ran beside this one.
        """
        errands = self.errands
        # What memory alone holds is newer than the file.
        if not answer.ends_identity or errands.persistence.is_owed:
            return None
        found = errands.rotation.file.newer_than(self.identity)
        if found is None:
            return None
        line = "The env file holds a newer identity or key by now; the agent goes on with that."
        if found.agent_id == self.identity.agent_id:
            former = self.heartbeat.answered(answer, self.clock.now(), is_last_key=False)
            delay = former.delay
        else:
            self.heartbeat, self.beaten = self.begin(found.agent_id, self.heartbeat.interval), None
            errands.splitting.note, self._asks_to_split, delay = None, False, 0.0
        self.identity = found
        self.instance.renew()
        step = Step(delay, line, changed=True, exit_code=ExitCode.UNREACHABLE)
        self._remember(step)
        return step

    def _follow(self, answer: Answer) -> None:
        """Do what an accepted beat's answer asks for."""
        errands = self.errands
        self._skew.look(answer, self.clock.now())
        errands.upgrader.accepted()
        # Before the rotation: the facts go with the key that has just been accepted.
        errands.reporting.accepted(self.identity, answer, self.instance.name)
        if not errands.persistence.is_owed:
            name = self.instance.name
            self.identity = errands.rotation.accepted(self.identity, answer, name)
        version = answer.text("agent_version")
        if version and version != __version__:
            errands.upgrader.wanted(version)

    def _begin_split(self) -> bool:
        # An identity that is not on disk yet has nowhere to note a split either.
        if self.errands.persistence.is_owed:
            return False
        return self.errands.splitting.begin(self.identity, self.instance.name)

    def _ask_to_split(self) -> Step:
        """Ask for the identity of one's own that the control plane holds ready."""
        splitting = self.errands.splitting
        note, self._asks_to_split = splitting.note, False
        if note is None:
            return Step(0.0, "There is no split under way.", changed=False)
        outcome = self._answer_to(lambda: splitting.ask(self.identity, note))
        if isinstance(outcome, Step):
            self._asks_to_split = True
            return outcome
        if outcome.succeeded:
            return self._become(outcome)
        if (step := self._follow_the_file(outcome)) is not None:
            return step
        self._asks_to_split = outcome.is_transient
        if outcome.code == NOT_SPLIT:
            splitting.drop()
        is_last_key = self.identity.other is None
        step = self.heartbeat.answered(outcome, self.clock.now(), is_last_key=is_last_key)
        self._remember(step)
        return step

    def _become(self, answer: Answer) -> Step:
        """Live on as the agent that this copy was given."""
        former, file = self.identity.agent_id, self.errands.splitting.file
        try:
            identity = identity_of(answer)
        except AgentError as error:
            self._asks_to_split = True
            return self.heartbeat.unanswered(error.line, self.clock.now())
        interval = answer.number("heartbeat_interval_seconds", 1, LONGEST_INTERVAL)
        try:
            file.put(identity, of=former)
        except CannotWriteError:
            self.errands.persistence.owe(lambda: file.put(identity, of=former))
        self.errands.splitting.note = None
        self.identity, self.beaten = identity, None
        self.heartbeat = self.begin(identity.agent_id, interval)
        self.instance.renew()
        line = f"Split off as {identity.agent_id}; {former} is the other copy from here on."
        self.say.result(line)
        return Step(0.0, line, changed=False)

    def _answer_to(self, ask: Callable[[], Answer]) -> Answer | Step:
        """Return the answer, or what to do where none came."""
        try:
            return ask()
        except NoAnswerError as failure:
            step = self.heartbeat.unanswered(
                failure.reason, self.clock.now(), arrived=failure.arrived
            )
            self._remember(step)
            return step
        finally:
            self._answered_at = self.clock.monotonic()

    def _send(self) -> Answer:
        beat = self.heartbeat.beat
        body: dict[str, object] = {
            "sequence": beat.sequence,
            "nonce": beat.nonce,
            "instance": self.instance.name,
            "agent_version": __version__,
            "unpersisted": self.errands.persistence.is_owed,
        }
        if (digest := self.errands.reporting.digest()) is not None:
            body["facts"] = digest
        path = agent_path(self.identity.agent_id, "telemetry", "heartbeat")
        return self.plane.call(Call("POST", path, body=body, bearer=self.identity.key))

    def _remember(self, step: Step) -> None:
        name = self.instance.name
        # A command beside this process says as which instance it speaks.
        if step.changed or name != self._remembered_instance:
            self._remembered_instance = name
            interval = self.beaten.interval if self.beaten is not None else None
            life = Beaten(self.identity.agent_id, interval, name)
            self.remember(self.heartbeat.state, step.detail, self.clock.now(), life)

    def _report(self, step: Step) -> None:
        if not step.changed and not self.verbose:
            return
        line = step.detail
        if self.verbose and step.delay is not None:
            line = f"{line} Next beat in {step.delay:.1f} s."
        if self.heartbeat.state is State.ONLINE:
            self.say.result(line)
        else:
            self.say.warn(line)
