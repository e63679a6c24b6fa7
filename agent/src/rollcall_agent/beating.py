"""The loop around the heartbeat's state machine: sends, prints, waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollcall_agent import __version__
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import Call, Caller, agent_path
from rollcall_agent.clock import Clock
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.heartbeat import Heartbeat, State, Step
from rollcall_agent.say import Say
from rollcall_agent.settings import Identity

Remember = Callable[[str, str, float], None]


@dataclass(frozen=True)
class Beating:
    """Beats for one identity.

    Attributes:
        instance: Random and new at each start of the process, so that the control plane can tell
            a restart from a repeated request.
        remember: Is told each change of state.
    """

    identity: Identity
    plane: Caller
    heartbeat: Heartbeat
    instance: str
    clock: Clock
    say: Say
    remember: Remember
    verbose: bool = False

    def run(self) -> None:
        """Beat until the clock says stop, or the identity has ended (raised as AgentError)."""
        while True:
            step = self._beat()
            if step.delay is None:
                raise AgentError(step.detail, step.exit_code)
            self._report(step)
            self.clock.sleep(step.delay)

    def once(self) -> None:
        """Send a single beat; raise AgentError where it was not accepted."""
        step = self._beat()
        if step.exit_code is not ExitCode.OK:
            raise AgentError(step.detail, step.exit_code)
        self.say.result(step.detail)

    def _beat(self) -> Step:
        try:
            step = self.heartbeat.answered(self._send())
        except NoAnswerError as failure:
            step = self.heartbeat.unanswered(failure.reason)
        if step.changed:
            self.remember(self.heartbeat.state, step.detail, self.clock.now())
        return step

    def _send(self) -> Answer:
        beat = self.heartbeat.beat
        return self.plane.call(
            Call(
                "POST",
                agent_path(self.identity.agent_id, "telemetry", "heartbeat"),
                body={
                    "sequence": beat.sequence,
                    "nonce": beat.nonce,
                    "instance": self.instance,
                    "agent_version": __version__,
                },
                bearer=self.identity.key,
            )
        )

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
