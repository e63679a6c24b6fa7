"""A step: operations are sent, one or several at once, and everything is looked at afterwards."""

import functools
from collections.abc import Sequence
from typing import Any

from chalicelib import runtime
from chalicelib.store import sweep_watermark
from chalicelib.store.agent_presence import bucket_of
from tests.functional.api import Answer
from tests.functional.model import invariants
from tests.functional.model.interleaving import Order, interleave
from tests.functional.model.operations import Live, Operation, Said, serial_orders
from tests.functional.model.snapshot import Row, Snapshot
from tests.functional.model.stage import Stage
from tests.functional.model.state import BUCKET_SECONDS, Agent, State, Verdict

_THOROUGH_EVERY = 20
_NO_ARTIFACT = "art_" + "0" * 20


class Run:
    """One example: the system, the model, and what was seen of the system last."""

    def __init__(self, stage: Stage, secrets: Sequence[str]) -> None:
        stage.begin()
        self._stage = stage
        tenants = [stage.api.new_tenant() for _ in range(2)]
        self.live = Live(stage.api, {tenant.organization: tenant for tenant in tenants})
        self.state = State(stage.api.clock)
        for tenant in tenants:
            organization = tenant.organization
            self.state.happened("organization.bootstrapped", organization, organization)
        # As if the sweep had been here a moment ago: its very first look goes over a whole day.
        before = bucket_of(stage.api.clock.now, BUCKET_SECONDS) - BUCKET_SECONDS
        for watermark in (sweep_watermark.OVERDUE, sweep_watermark.DENIALS):
            sweep_watermark.advance(before, watermark)
        self._secrets = [*secrets, *(tenant.key for tenant in tenants)]
        self._seen: Snapshot | None = None
        self._steps = 0
        self.job_images: dict[str, list[Row]] = {}
        self.step()

    def step(self, *operations: Operation, order: Order = ()) -> list[Answer]:
        """Send operations, at once where there are several, and check all that must hold."""
        for operation in operations:
            operation.prepare(self.live)
        acts = [functools.partial(operation.send, self.live) for operation in operations]
        answers = interleave(acts, order) if len(acts) > 1 else [act() for act in acts]
        self._steps += 1
        thorough = self._steps % _THOROUGH_EVERY == 0
        seen = self._stage.tables.read(None if thorough else self._seen)
        said = list(zip(operations, answers, strict=True))
        invariants.laws(seen, self._seen, self.state)
        self.state = self._explained(said, seen)
        self._learn_secrets(answers)
        changed = seen.changed_since(self._seen)
        assert not any(secret in changed for secret in self._secrets), "a table holds a raw secret"
        self._keep_images(seen)
        self._seen = seen
        self._ask_about(said)
        if thorough:
            self._look_at_lists()
        return answers

    def lead_up(self, operation: Operation) -> Answer:
        """Send an operation whose answer alone is checked: the next step looks at the tables."""
        answer = operation.send(self.live)
        wanted = operation.verdict(self.state)
        assert operation.accepts(self.state, answer), f"{operation}: {answer.code}, not {wanted}"
        self._learn_secrets([answer])
        return answer

    def _explained(self, said: Sequence[Said], seen: Snapshot) -> State:
        """The model's next state: that of a serial order which explains answers and tables."""
        found = invariants.observed(seen)
        differences = []
        for state in serial_orders(self.state, said):
            difference = invariants.difference(found, invariants.expected(state))
            if not difference:
                return state
            differences.append(difference)
        lines = [
            f"{operation}\n  was answered {answer.status} {answer.code}, "
            f"by itself it would be {operation.verdict(self.state)}"
            for operation, answer in said
        ]
        reason = "\nor\n".join(dict.fromkeys(differences)) or "no order explains these answers"
        raise AssertionError("\n".join([*lines, reason]))

    def _learn_secrets(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            for name in ("token", "runtime_key"):
                if isinstance(answer.body.get(name), str):
                    self._secrets.append(answer.body[name])

    def _keep_images(self, seen: Snapshot) -> None:
        for row in seen.tables["jobs"].values():
            images = self.job_images.setdefault(row["job_id"]["S"], [])
            if row not in images[-1:]:
                images.append(row)

    def _ask_about(self, said: Sequence[Said]) -> None:
        """Whether each key of some agents is accepted or refused on the very next request."""
        named = [name for one, answer in said for name in one.agents(self.state, answer)]
        agents = list(self.state.agents)
        # Not all of them: the tables were looked at already, and each question costs requests.
        for identifier in dict.fromkeys(
            named[:2] or agents[self._steps % max(1, len(agents)) :][:1]
        ):
            self._ask_about_one(self.state.agents[identifier])

    def _ask_about_one(self, agent: Agent) -> None:
        for key in (agent.key, *agent.old_keys[-1:]):
            path = f"/api/v1/agents/{agent.id}/artifacts/{_NO_ARTIFACT}"
            answer = self.live.api.call("GET", path, credential=key.raw)
            inactive = (409, "not_active") if agent.status == "enrolled" else None
            wanted: Verdict = (
                agent.verdict(key, self.state.now) or inactive or (404, "artifact_not_found")
            )
            assert (answer.status, answer.code) == wanted, f"a key of {agent}: {answer}"
        shown = self.live.tenants[agent.organization].call("GET", f"/agents/{agent.id}")
        assert shown.body.get("status") == agent.seen_as(self.state.now), f"{agent}: {shown}"

    def _look_at_lists(self) -> None:
        """Each tenant sees its own rows in every list, and nobody else's."""
        for organization, tenant in self.live.tenants.items():
            own: dict[str, Any] = {
                agent.id: agent.seen_as(self.state.now)
                for agent in self.state.agents.values()
                if agent.organization == organization
            }
            listed = tenant.call("GET", "/agents?limit=100").body["agents"]
            assert {row["agent_id"]: row["status"] for row in listed} == own
            tokens = tenant.call("GET", "/agent-enrollment/tokens?limit=100")
            assert {row["enrollment_token_id"] for row in tokens.body["enrollment_tokens"]} == {
                token.id
                for token in self.state.tokens.values()
                if token.organization == organization
            }
            for job in self.state.jobs.values():
                shown = tenant.call("GET", f"/jobs/{job.id}")
                assert shown.status == (200 if job.organization == organization else 404)
                assert shown.status == 404 or shown.body["status"] == job.status
            for agent in self.state.agents.values():
                shown = tenant.call("GET", f"/agents/{agent.id}")
                assert shown.status == (200 if agent.organization == organization else 404)
        self._look_at_objects()
        rows = self._stage.tables.read_the_rest().changed_since(None)
        assert not any(secret in rows for secret in self._secrets), "a table holds a raw secret"

    def _look_at_objects(self) -> None:
        now = runtime.current()
        for artifact in self.state.artifacts.values():
            organization = self.state.agents[artifact.agent].organization
            key = f"artifacts/{organization}/{artifact.agent}/{artifact.id}"
            if artifact.status == "stored":
                head = now.bucket._client.head_object(Bucket=now.settings.bucket, Key=key)
                assert head["ContentLength"] > 0
