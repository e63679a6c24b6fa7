"""Revoking agents and tokens, and the job of a cascade, as law 3 has them."""

from dataclasses import dataclass, field
from typing import Any

from chalicelib import workers
from chalicelib.store import jobs
from tests.functional.api import Answer
from tests.functional.model.operations import Live, Operation
from tests.functional.model.state import (
    ACCEPTED,
    MOST_ATTEMPTS,
    OK,
    STALLED_MS,
    Job,
    State,
    Verdict,
)


@dataclass(frozen=True)
class RevokeAgent(Operation):
    """An operator, perhaps another tenant's, ends an agent."""

    by: str
    agent: str

    def send(self, live: Live) -> Answer:
        return live.tenants[self.by].call("POST", f"/agents/{self.agent}/revoke")

    def verdict(self, state: State) -> Verdict:
        own = state.agents[self.agent].organization == self.by
        return OK if own else (404, "agent_not_found")

    def take(self, state: State, answer: Answer) -> bool:
        if answer.status != 200:
            return True
        state.revoke(state.agents[self.agent])
        return bool(answer.body["status"] == "revoked")


@dataclass(frozen=True)
class RevokeToken(Operation):
    """An operator, perhaps another tenant's, ends a token; with `cascade` its agents too."""

    by: str
    token: str
    cascade: bool

    def send(self, live: Live) -> Answer:
        path = f"/agent-enrollment/tokens/{self.token}/revoke"
        return live.tenants[self.by].call("POST", path, {"cascade": self.cascade})

    def verdict(self, state: State) -> Verdict:
        if state.tokens[self.token].organization != self.by:
            return 404, "enrollment_token_not_found"
        return ACCEPTED if self.cascade else OK

    def take(self, state: State, answer: Answer) -> bool:
        if answer.status == 404:
            return True
        token = state.tokens[self.token]
        if token.status != "revoked":
            token.status = "revoked"
            state.happened("agent.enrollment_token.revoked", self.by, token.id)
        if self.cascade:
            self._start(state, answer.body["job"]["job_id"])
        return bool(answer.body["status"] == "revoked")

    def _start(self, state: State, identifier: str) -> None:
        job = state.jobs.get(identifier)
        stalled = job is not None and (
            job.status == "failed"
            or (job.status != "done" and job.updated_at < state.now - STALLED_MS)
        )
        if job is None or stalled:
            state.jobs[identifier] = Job(identifier, self.by, self.token, state.now)
            state.happened("job.started", self.by, identifier)


class OutOfTime:
    """A function's context, whose time is up at the first look."""

    aws_request_id = "the-functions-own"

    def get_remaining_time_in_millis(self) -> int:
        """Too little."""
        return 0


@dataclass(frozen=True)
class PlayJob(Operation):
    """The jobs table's stream hands a record to the function, perhaps not for the first time."""

    job: str
    step: int
    hurried: bool
    image: dict[str, Any] = field(repr=False)

    def send(self, live: Live) -> Answer:
        assert live
        record = {"eventName": "MODIFY", "dynamodb": {"NewImage": self.image}}
        workers.run_jobs([record], OutOfTime() if self.hurried else None)
        return Answer(200, {}, {})

    def agents(self, state: State, answer: Answer) -> list[str]:
        assert answer
        return state.tokens[state.jobs[self.job].token].agents[-2:]

    def verdict(self, state: State) -> Verdict:
        assert state
        return OK

    def take(self, state: State, answer: Answer) -> bool:
        assert answer
        job = state.jobs[self.job]
        if job.ended or job.step != self.step:
            return True
        return self._taken(state, job)

    def _taken(self, state: State, job: Job) -> bool:
        agents = state.tokens[job.token].agents
        for agent in agents:
            state.revoke(state.agents[agent])
        if self.hurried and agents:
            job.attempts = 0 if len(agents) > job.processed else job.attempts + 1
            job.status = "failed" if job.attempts >= MOST_ATTEMPTS else "running"
        else:
            job.status = "done"
        job.step, job.processed, job.updated_at = job.step + 1, len(agents), state.now
        if job.ended:
            state.happened("job.finished", job.organization, job.id)
        return True


@dataclass(frozen=True)
class CascadeToItsEnd(RevokeToken):
    """A fresh token is revoked with its agents, and the job is done before anything else is told.

    To exchanges of the token it is one thing: none is answered between the two.
    """

    def send(self, live: Live) -> Answer:
        answer = super().send(live)
        row = jobs.JobItem.read(f"{self.by}#{answer.body['job']['job_id']}")
        assert row is not None
        image = row.serialize()
        workers.run_jobs([{"eventName": "INSERT", "dynamodb": {"NewImage": image}}], None)
        return answer

    def take(self, state: State, answer: Answer) -> bool:
        job = answer.body["job"]["job_id"]
        return super().take(state, answer) and PlayJob(job, 0, False, {}).take(state, answer)
