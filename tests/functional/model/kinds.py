"""Kinds of steps, and the operations that they are in a given state of the model."""

import itertools
from collections.abc import Sequence

from chalicelib.credentials import enrollment_token
from tests.functional.model.beating import Beat, Sweep
from tests.functional.model.checks import Run
from tests.functional.model.enrolling import Exchange, Mint
from tests.functional.model.keeping import CONTENTS, OTHER, Announce, Download, Verify
from tests.functional.model.living import Quarantine, Release, Rotate
from tests.functional.model.operations import Operation
from tests.functional.model.revoking import (
    CascadeToItsEnd,
    PlayJob,
    RevokeAgent,
    RevokeToken,
)
from tests.functional.model.state import Agent, State, Token

HOSTS = ("host-a", "host-b")
IDEMPOTENCY_KEYS = tuple(f"idempotency-key-of-{host}" for host in HOSTS)
TAKEN_NAME = "Edge-1"

OF_A_TOKEN = (
    "exchange", "first key", "first key", "first key", "second key", "named", "revoke", "cascade",
)  # fmt: skip
ONLY_ALONE = ("forged", "foreign revoke")
BEATS = (
    "beat", "beat", "beat", "beat with pending key", "repeat", "other nonce", "stale", "jump",
    "restart",
)  # fmt: skip
LIFE = ("rotate", "quarantine", "release", "release")
OF_AN_AGENT = (
    "beat", "beat", "repeat", "restart", "replay", "replay", "revoke", "revoke token",
    "announce", "announce", "verify", "verify", "sweep", "play",
    "quarantine", "release", "rotate", "beat with pending key",
)  # fmt: skip


class Kinds:
    """Makes operations of kinds.

    Args:
        run: the example that they are for.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._numbers = itertools.count(1)

    @property
    def _state(self) -> State:
        return self._run.state

    def other(self, organization: str) -> str:
        """The other tenant."""
        return next(name for name in self._run.live.tenants if name != organization)

    @staticmethod
    def mint(organization: str, max_uses: int) -> Mint:
        """A token for an hour."""
        return Mint(organization, max_uses, 3600, None)

    def exchange(
        self, token: Token, key: str | None, hostname: str | None = None, name: str | None = None
    ) -> Exchange:
        """An exchange by the token's holder; of its own host, where none is named."""
        environment = self._run.live.tenants[token.organization].environment
        host = hostname or token.hostname or HOSTS[0]
        return Exchange(token.organization, environment, token.id, token.secret, key, host, name)

    def of_a_token(self, identifier: str, kind: str) -> Operation:
        """Something that happens to a token."""
        token = self._state.tokens[identifier]
        if kind in {"revoke", "cascade"}:
            return RevokeToken(token.organization, identifier, kind == "cascade")
        if kind == "cascade and job":
            return CascadeToItsEnd(token.organization, identifier, cascade=True)
        if kind == "foreign revoke":
            return RevokeToken(self.other(token.organization), identifier, cascade=True)
        if kind == "forged":
            # The same identifier, of this or of the other tenant, under another secret.
            claimed = self.other(token.organization) if token.hostname else token.organization
            secret = enrollment_token.FAMILY.issue(claimed, identifier)
            return Exchange(claimed, "", identifier, secret, None, HOSTS[0])
        key = {"first key": IDEMPOTENCY_KEYS[0], "second key": IDEMPOTENCY_KEYS[1]}.get(kind)
        return self.exchange(token, key, name=TAKEN_NAME if kind == "named" else None)

    def beat(self, agent: Agent, kind: str, *, old_key: bool = False) -> Beat:
        """A heartbeat: the next one, or one that stands out."""
        key = agent.old_keys[-1] if old_key and agent.old_keys else agent.key
        if kind == "beat with pending key":
            key = agent.pending or key
        number = next(self._numbers)
        fresh, instance = f"nonce-{number:012d}", f"instance-{number:012d}"
        sequence = agent.sequence or 0
        if kind == "restart":
            return Beat(agent.id, key, instance, 1, fresh)
        if kind == "repeat" and agent.nonce is not None:
            return Beat(agent.id, key, agent.instance or instance, sequence, agent.nonce)
        further = {"other nonce": 0, "stale": -1, "jump": 7}.get(kind, 1)
        sequence = max(1, sequence + further)
        return Beat(agent.id, key, agent.instance or instance, sequence, fresh)

    def replay(self, agent: Agent) -> Exchange:
        """The host asks again for its agent; where it had no idempotency key, with a new one."""
        token = self._state.tokens[agent.token]
        for key, receipt in token.receipts.items():
            if receipt.agent == agent.id:
                return self.exchange(token, key)
        return self.exchange(token, IDEMPOTENCY_KEYS[0])

    def announce(self, agent: Agent, *, old_key: bool = False, last: bool = False) -> Announce:
        """An announcement of one of the contents."""
        key = agent.old_keys[-1] if old_key and agent.old_keys else agent.key
        return Announce(agent.id, key, CONTENTS[-1 if last else 0])

    def verify(self, artifact: str, *, wrong: bool = False) -> Verify:
        """An upload of what was announced, or of something else."""
        row = self._state.artifacts[artifact]
        organization = self._state.agents[row.agent].organization
        return Verify(organization, row.agent, artifact, OTHER if wrong else row.content)

    def download(self, artifact: str, *, foreign: bool) -> Download:
        """An operator's wish for an artifact."""
        agent = self._state.agents[self._state.artifacts[artifact].agent]
        own = agent.organization
        return Download(self.other(own) if foreign else own, agent.id, artifact)

    def play(self, job: str, back: int = 0, *, hurried: bool = False) -> PlayJob:
        """A record of the jobs' stream: the newest, or one from before."""
        images = self._run.job_images[job]
        image = images[max(0, len(images) - 1 - back)]
        return PlayJob(job, int(image["step"]["N"]), hurried, image)

    def of_an_agent(
        self, identifier: str, kind: str, before: Sequence[Operation]
    ) -> Sequence[Operation]:
        """Something that happens to an agent, at once with what was chosen before."""
        agent = self._state.agents[identifier]
        if kind in {"beat", "repeat", "restart", "beat with pending key"}:
            beats = [one for one in before if isinstance(one, Beat)]
            # A second beat may be the first one, sent again.
            return [beats[0] if beats and kind == "repeat" else self.beat(agent, kind)]
        if kind == "verify":
            known = [one.id for one in self._state.artifacts.values() if one.agent == identifier]
            return [self.verify(artifact) for artifact in known[:1]]
        if kind in {"sweep", "play"}:
            return self._by_itself(agent.token, kind, before)
        operations: dict[str, Operation] = {
            "replay": self.replay(agent),
            "revoke": RevokeAgent(agent.organization, identifier),
            "revoke token": RevokeToken(agent.organization, agent.token, cascade=False),
            "announce": self.announce(agent),
            "quarantine": Quarantine(agent.organization, identifier),
            "release": Release(agent.organization, identifier),
            "rotate": Rotate(identifier, agent.key),
        }
        return [operations[kind]]

    def _by_itself(self, token: str, kind: str, before: Sequence[Operation]) -> Sequence[Operation]:
        # Sweep and job change many agents, one after the other: two of them may take turns, as no
        # serial order does, and nothing is wrong with it.
        if any(isinstance(one, Sweep | PlayJob) for one in before):
            return []
        if kind == "sweep":
            return [Sweep()]
        return [self.play(job.id) for job in self._state.jobs.values() if job.token == token]
