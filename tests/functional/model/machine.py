"""The machine: which steps there are, in whatever order hypothesis likes."""

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
)

from tests.functional.api import Answer
from tests.functional.model.beating import Sweep
from tests.functional.model.checks import Run
from tests.functional.model.enrolling import Mint
from tests.functional.model.interleaving import Order
from tests.functional.model.kinds import (
    BEATS,
    HOSTS,
    IDEMPOTENCY_KEYS,
    LIFE,
    OF_A_TOKEN,
    OF_AN_AGENT,
    ONLY_ALONE,
    TAKEN_NAME,
    Kinds,
)
from tests.functional.model.operations import Operation
from tests.functional.model.revoking import RevokeAgent
from tests.functional.model.stage import Stage

_MOST_TOKENS = 8
_MOST_AGENTS = 12
# Over the shortest interval, late, offline, stalled; then expiry, swept, the window's end.
STEPS = (15, 1, 10, 31, 60, 90, 180, 901, 3600, 6 * 3600, 86_400, 86_401, 2 * 86_400)
OFTEN_NOT = st.sampled_from((False, False, False, True))
# One of them stands still just before a request, often its last one, and another goes on to its
# end; or they take turns of any length.
ORDER: st.SearchStrategy[Order] = st.one_of(
    st.tuples(st.integers(0, 3), st.integers(2, 5)).map(
        lambda held: [held, (held[0] + 1, 30), (held[0] + 1, 30)]
    ),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from((1, 2, 3, 30))), min_size=3, max_size=12),
)
OF_TOKENS = st.lists(st.sampled_from(OF_A_TOKEN), min_size=2, max_size=4)
# A token of 60 uses counts them in rows beside its own.
MAX_USES = st.sampled_from((2, 1, 5, 60))
KEYS = st.sampled_from((*IDEMPOTENCY_KEYS, None))


class ControlPlane(RuleBasedStateMachine):
    """Tokens, agents, artifacts and jobs of two tenants.

    Args:
        stage: the system under test.
    """

    tokens: Bundle[str] = Bundle("tokens")
    agents: Bundle[str] = Bundle("agents")
    artifacts: Bundle[str] = Bundle("artifacts")

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._run = Run(stage, IDEMPOTENCY_KEYS)
        self._kinds = Kinds(self._run)

    def _made(self, answers: Sequence[Answer]) -> MultipleResults[str]:
        """The agents that answers of exchanges name for the first time."""
        fresh = [answer.body["agent_id"] for answer in answers if answer.status == 201]
        return multiple(*fresh)

    # Enrolling.

    @initialize(target=tokens, max_uses=MAX_USES)
    def begin(self, max_uses: int) -> str:
        """A token, as every other step needs one."""
        return self._mint(0, max_uses, 3600, None)

    @precondition(lambda self: len(self._run.state.tokens) < _MOST_TOKENS)
    @rule(
        target=tokens,
        tenant=st.integers(0, 1),
        max_uses=MAX_USES,
        ttl_seconds=st.sampled_from((3600, 60, 7 * 86_400)),
        hostname=st.sampled_from((None, None, HOSTS[0])),
    )
    def mint(self, tenant: int, max_uses: int, ttl_seconds: int, hostname: str | None) -> str:
        return self._mint(tenant, max_uses, ttl_seconds, hostname)

    def _mint(self, tenant: int, max_uses: int, ttl_seconds: int, hostname: str | None) -> str:
        organization = list(self._run.live.tenants)[tenant]
        answer = self._run.lead_up(Mint(organization, max_uses, ttl_seconds, hostname))
        return str(answer.body["enrollment_token_id"])

    @rule(
        target=agents,
        token=tokens,
        key=KEYS,
        hostname=st.sampled_from((None, None, *HOSTS)),
        name=st.sampled_from((None, None, TAKEN_NAME, TAKEN_NAME.upper(), HOSTS[1])),
    )
    def exchange(
        self, token: str, key: str | None, hostname: str | None, name: str | None
    ) -> MultipleResults[str]:
        row = self._run.state.tokens[token]
        return self._made(self._run.step(self._kinds.exchange(row, key, hostname, name)))

    @precondition(lambda self: len(self._run.state.agents) < _MOST_AGENTS)
    @rule(target=agents, tenant=st.integers(0, 1), key=KEYS, beats=st.booleans())
    def enroll(self, tenant: int, key: str | None, beats: bool) -> MultipleResults[str]:
        """The usual way to an agent, often one at work: most other steps need one."""
        token = self._mint(tenant, 2, 3600, None)
        made = self._made(self._run.step(self._kinds.exchange(self._run.state.tokens[token], key)))
        for agent in made.values if beats else ():
            self._run.step(self._kinds.beat(self._run.state.agents[agent], "beat"))
        return made

    @precondition(lambda self: self._run.state.admitting() > 1)
    @rule(token=tokens, kind=st.sampled_from((*ONLY_ALONE, "revoke", "cascade")))
    def end_a_token(self, token: str, kind: str) -> None:
        self._run.step(self._kinds.of_a_token(token, kind))

    # Agents at work.

    @rule(agent=agents, kind=st.sampled_from(BEATS), old_key=OFTEN_NOT)
    def beat(self, agent: str, kind: str, old_key: bool) -> None:
        row = self._run.state.agents[agent]
        self._run.step(self._kinds.beat(row, kind, old_key=old_key))

    @rule(agent=agents)
    def ask_again(self, agent: str) -> None:
        self._run.step(self._kinds.replay(self._run.state.agents[agent]))

    @rule(target=agents, later=st.sampled_from((0, 86_400, 86_401)), beats=OFTEN_NOT)
    def lose_an_answer(self, later: int, beats: bool) -> MultipleResults[str]:
        """The host asks again, after some seconds and perhaps after a first heartbeat."""
        token = self._mint(0, 1, 3600, None)
        first = self._run.step(self._kinds.of_a_token(token, "first key"))
        if beats:
            agent = self._run.state.agents[first[0].body["agent_id"]]
            self._run.step(self._kinds.beat(agent, "beat"))
        self._run.state.clock.advance(seconds=later)
        again = self._run.step(self._kinds.of_a_token(token, "first key"))
        return self._made([*first, *again])

    @rule(agent=agents, kind=st.sampled_from(LIFE))
    def live_on(self, agent: str, kind: str) -> None:
        self._run.step(*self._kinds.of_an_agent(agent, kind, []))

    @rule(agent=agents, foreign=OFTEN_NOT)
    def revoke_agent(self, agent: str, foreign: bool) -> None:
        own = self._run.state.agents[agent].organization
        self._run.step(RevokeAgent(self._kinds.other(own) if foreign else own, agent))

    @rule(target=artifacts, agent=agents, old_key=OFTEN_NOT, last=st.booleans())
    def announce(self, agent: str, old_key: bool, last: bool) -> MultipleResults[str]:
        row = self._run.state.agents[agent]
        (answer,) = self._run.step(self._kinds.announce(row, old_key=old_key, last=last))
        return multiple(*([answer.body["artifact_id"]] if answer.status == 201 else []))

    @rule(artifact=artifacts, wrong=OFTEN_NOT)
    def upload(self, artifact: str, wrong: bool) -> None:
        self._run.step(self._kinds.verify(artifact, wrong=wrong))

    @rule(artifact=artifacts, foreign=st.booleans())
    def download(self, artifact: str, foreign: bool) -> None:
        self._run.step(self._kinds.download(artifact, foreign=foreign))

    # What happens by itself.

    @precondition(lambda self: self._run.state.jobs)
    @rule(
        which=st.integers(0, _MOST_TOKENS), back=st.sampled_from((0, 0, 0, 1, 2)), hurried=OFTEN_NOT
    )
    def play_a_job(self, which: int, back: int, hurried: bool) -> None:
        jobs = list(self._run.state.jobs)
        self._run.step(self._kinds.play(jobs[which % len(jobs)], back, hurried=hurried))

    @precondition(lambda self: any(agent.due for agent in self._run.state.agents.values()))
    @rule()
    def sweep(self) -> None:
        self._run.step(Sweep())

    @rule(seconds=st.sampled_from(STEPS))
    def let_time_go_by(self, seconds: int) -> None:
        self._run.state.clock.advance(seconds=seconds)
        self._run.step()

    # Several at once.

    def _race(self, token: str, kinds: list[str], order: Order) -> Sequence[Answer]:
        operations = [self._kinds.of_a_token(token, kind) for kind in kinds]
        return self._run.step(*operations, order=order)

    @rule(target=agents, token=tokens, kinds=OF_TOKENS, order=ORDER)
    def race_for_a_token(self, token: str, kinds: list[str], order: Order) -> MultipleResults[str]:
        return self._made(self._race(token, kinds, order))

    @rule(target=agents, uses=st.integers(1, 2), kinds=OF_TOKENS, order=ORDER)
    def race_for_the_last_uses(
        self, uses: int, kinds: list[str], order: Order
    ) -> MultipleResults[str]:
        return self._made(self._race(self._mint(0, uses, 3600, None), kinds, order))

    @rule(target=agents, ends=st.sampled_from(("cascade and job", "revoke")), order=ORDER)
    def race_against_a_revoke(self, ends: str, order: Order) -> MultipleResults[str]:
        """Of a token that a host has used before: it asks again, and another one asks."""
        token = self._mint(0, 3, 3600, None)
        before = [self._run.lead_up(self._kinds.of_a_token(token, "first key"))]
        answers = self._race(token, ["first key", "exchange", ends], order)
        return self._made([*before, *answers])

    @rule(target=agents, times=st.integers(2, 3), order=ORDER)
    def race_of_a_host_with_itself(self, times: int, order: Order) -> MultipleResults[str]:
        """A host that is in a hurry asks for its one use several times at once."""
        token = self._mint(0, 1, 3600, None)
        return self._made(self._race(token, ["first key"] * times, order))

    def _fresh(self, *, silent: int | None) -> str:
        """An agent that was not heard for some seconds, or was never heard."""
        token = self._mint(0, 1, 3600, None)
        answer = self._run.lead_up(self._kinds.of_a_token(token, "first key"))
        agent = str(answer.body["agent_id"])
        if silent is None:
            return agent
        self._run.lead_up(self._kinds.beat(self._run.state.agents[agent], "beat"))
        self._run.state.clock.advance(seconds=silent)
        return agent

    @rule(
        target=agents,
        silent=st.sampled_from((None, 15, 86_400)),
        kinds=st.lists(
            st.sampled_from(("beat", "restart", "revoke", "repeat", "sweep")),
            min_size=1,
            max_size=2,
        ),
        order=ORDER,
    )
    def race_of_heartbeats(self, silent: int | None, kinds: list[str], order: Order) -> str:
        """An agent is heard, at first or again, perhaps just when it is missed or revoked."""
        agent = self._fresh(silent=silent)
        self._race_of(agent, ["beat", *kinds], order)
        return agent

    @rule(
        target=artifacts,
        first=st.sampled_from(("revoke", "announce")),
        second=st.sampled_from(("verify", "announce", "revoke")),
        order=ORDER,
    )
    def race_for_an_artifact(self, first: str, second: str, order: Order) -> str:
        """An upload is verified while its agent announces it again, or is revoked."""
        agent = self._fresh(silent=15)
        row = self._run.state.agents[agent]
        answer = self._run.lead_up(self._kinds.announce(row))
        self._race_of(agent, [first, "verify", second], order)
        return str(answer.body["artifact_id"])

    @rule(
        target=artifacts,
        agent=agents,
        kinds=st.lists(st.sampled_from(OF_AN_AGENT), min_size=2, max_size=4),
        order=ORDER,
    )
    def race_for_an_agent(self, agent: str, kinds: list[str], order: Order) -> MultipleResults[str]:
        known = set(self._run.state.artifacts)
        self._race_of(agent, kinds, order)
        return multiple(*(name for name in self._run.state.artifacts if name not in known))

    def _race_of(self, agent: str, kinds: Sequence[str], order: Order) -> None:
        operations: list[Operation] = []
        for kind in kinds:
            operations += self._kinds.of_an_agent(agent, kind, operations)
        self._run.step(*operations, order=order)
