"""Law 3: a revoked row is refused on the next request, and a cascade is done when it says so."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import runtime, workers
from chalicelib.errors import Unavailable
from chalicelib.store.agent_identities import AgentIdentityItem
from chalicelib.store.agent_presence import AgentPresenceItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from chalicelib.store.jobs import JobItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws import faults
from tests.functional.laws.faults import changed_answer, injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import (
    ARTIFACT,
    agents_of,
    host_of,
    idempotency_key,
    presence_of,
    set_presence,
    token_row,
)

_P = AgentPresenceItem

AGENT_ROUTES: list[tuple[str, Callable[[Host], Answer]]] = [
    ("heartbeat", lambda host: host.beat()),
    ("repeated heartbeat", lambda host: host.repeat_beat(nonce="n" * 16)),
    ("announce", lambda host: host.call("POST", "/artifacts", ARTIFACT)),
    ("artifact", lambda host: host.call("GET", "/artifacts/art_" + "0" * 20)),
]


def revoke_agent(tenant: Tenant, host: Host) -> Answer:
    return tenant.call("POST", f"/agents/{host.agent_id}/revoke", {"note": "stolen"})


def revoke_token(tenant: Tenant, token: dict[str, Any], *, cascade: bool = False) -> Answer:
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    return tenant.call("POST", path, {"cascade": cascade})


@pytest.mark.parametrize(("_name", "use"), AGENT_ROUTES, ids=[name for name, _ in AGENT_ROUTES])
@pytest.mark.parametrize("state", ["enrolled", "online", "offline", "quarantined"])
def test_after_the_answer_of_a_revoke_every_route_is_refused(
    tenant: Tenant, state: str, _name: str, use: Callable[[Host], Answer]
) -> None:
    host = tenant.enroll()
    if state == "enrolled":
        host.sequence = 1
    else:
        host.beat(nonce="n" * 16)
        set_presence(tenant, host.agent_id, _P.status.set(state))
    revoked = revoke_agent(tenant, host)
    assert (revoked.status, revoked.body["status"]) == (200, "revoked")
    with counted() as requests:
        answer = use(host)
    assert (answer.status, answer.code) == (401, "key_revoked")
    assert not any(sent.eventually_consistent for sent in requests.sent)


def test_a_revoke_also_ends_a_pending_key(tenant: Tenant) -> None:
    host = tenant.enroll()
    current = presence_of(tenant, host.agent_id).key
    set_presence(tenant, host.agent_id, _P.key.set(b"old"), _P.pending_key.set(bytes(current)))
    revoke_agent(tenant, host)
    assert host.beat().code == "key_revoked"


@pytest.mark.parametrize(("_name", "use"), AGENT_ROUTES, ids=[name for name, _ in AGENT_ROUTES])
def test_no_authorization_reads_what_was(
    tenant: Tenant, _name: str, use: Callable[[Host], Answer]
) -> None:
    host = tenant.enroll()
    host.beat(nonce="n" * 16)
    with counted() as requests:
        use(host)
    assert requests.sent
    assert not any(sent.eventually_consistent for sent in requests.sent)
    assert not {"Query", "Scan"} & set(requests.operations)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/agents"),
        ("GET", "/agent-enrollment/tokens"),
        ("GET", "/audit-records"),
        ("GET", "/agents/agt_" + "0" * 20),
        ("GET", "/jobs/job_" + "0" * 20),
        ("POST", "/agent-enrollment/tokens"),
    ],
)
def test_the_operator_key_is_read_strongly_and_first(
    tenant: Tenant, method: str, path: str
) -> None:
    body = {"environment": tenant.environment} if method == "POST" else None
    with counted() as requests:
        tenant.call(method, path, body)
    assert requests.operations[0] == "BatchGetItem"
    assert requests.sent[0].tables[:2] == ["organizations", "organizations"]
    assert not requests.sent[0].eventually_consistent


def test_a_revoked_token_is_refused_to_its_holder(tenant: Tenant) -> None:
    token, key = tenant.mint(max_uses=5), idempotency_key()
    host = host_of(tenant.api, tenant.exchange(token["token"], idempotency_key=key))
    assert revoke_token(tenant, token).status == 200
    for attempt in (None, key, idempotency_key()):
        answer = tenant.exchange(token["token"], idempotency_key=attempt)
        assert (answer.status, answer.code) == (410, "token_revoked")
    assert host.beat().status == 200  # without the cascade its agents stay


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_of_a_revoke_is_no_failure(tenant: Tenant, fault: faults.Fault) -> None:
    host, token = tenant.enroll(), tenant.mint()
    with injected(fault, on="TransactWriteItems"):
        assert revoke_agent(tenant, host).status == 200
    with injected(fault, on="TransactWriteItems"):
        assert revoke_token(tenant, token).status == 200
    assert host.beat().code == "key_revoked"
    assert tenant.exchange(token["token"]).code == "token_revoked"
    records = tenant.audit("agent", host.agent_id)
    assert [record["event"] for record in records].count("agent.revoked") == 1


def test_an_answer_that_says_revoked_is_never_given_for_what_is_not(tenant: Tenant) -> None:
    """Statuses that this version does not know can be ended too."""
    host, token = tenant.enroll(), tenant.mint()
    host.beat()
    pk = f"{tenant.organization}#{host.agent_id}"
    AgentIdentityItem(pk).update(actions=[AgentIdentityItem.status.set("suspended")])
    token_row(tenant, token).update(actions=[EnrollmentTokenItem.status.set("suspended")])
    assert revoke_agent(tenant, host).body["status"] == "revoked"
    assert revoke_token(tenant, token).body["status"] == "revoked"
    assert host.beat().code == "key_revoked"
    assert tenant.exchange(token["token"]).code == "token_revoked"


class Cascade:
    """A token with agents, and the job that ends them, driven as the stream drives it."""

    def __init__(self, tenant: Tenant, agents: int) -> None:
        self.tenant = tenant
        self.token = tenant.mint(max_uses=agents + 1)
        self.hosts = [host_of(tenant.api, self.exchange()) for _ in range(agents)]
        for host in self.hosts:
            host.beat()
        self.pk = ""

    def exchange(self) -> Answer:
        return self.tenant.exchange(self.token["token"], idempotency_key=idempotency_key())

    def revoke(self) -> Answer:
        answer = revoke_token(self.tenant, self.token, cascade=True)
        self.pk = f"{self.tenant.organization}#{answer.body['job']['job_id']}"
        return answer

    def image(self) -> dict[str, Any]:
        row = JobItem.get(self.pk, consistent_read=True)
        return {"eventName": "MODIFY", "dynamodb": {"NewImage": row.serialize()}}

    def step(self, image: dict[str, Any] | None = None) -> None:
        workers.run_jobs([image or self.image()], None)

    @property
    def job(self) -> dict[str, Any]:
        answer = self.tenant.call("GET", f"/jobs/{self.pk.split('#')[1]}")
        assert answer.status == 200
        assert isinstance(answer.body, dict)
        return answer.body

    def refused(self) -> int:
        return sum(host.beat().code == "key_revoked" for host in self.hosts)


@pytest.fixture
def cascade(tenant: Tenant, clock: FrozenClock) -> Cascade:
    cascade = Cascade(tenant, 5)
    clock.advance(seconds=60)
    return cascade


def test_a_cascade_refuses_exchanges_from_the_first_moment(cascade: Cascade) -> None:
    answer = cascade.revoke()
    assert (answer.status, answer.body["job"]["status"]) == (202, "queued")
    assert cascade.exchange().code == "token_revoked"
    assert cascade.refused() == 0
    cascade.step()
    assert (cascade.job["status"], cascade.job["processed"], cascade.job["total"]) == ("done", 5, 5)
    assert cascade.refused() == 5
    assert cascade.revoke().body["job"]["status"] == "done"


def test_a_cascade_waits_for_an_index_that_lags(cascade: Cascade, clock: FrozenClock) -> None:
    cascade.revoke()
    hidden = cascade.hosts[2].agent_id

    def hide(parsed: dict[str, Any]) -> None:
        parsed["Items"] = [row for row in parsed["Items"] if row["agent_id"]["S"] != hidden]
        parsed["Count"] = len(parsed["Items"])

    for _ in range(3):
        with changed_answer("Query", hide, times=faults.ALWAYS):
            cascade.step()
        assert (cascade.job["status"], cascade.refused()) == ("running", 4)
        clock.advance(seconds=60)
    cascade.step()
    assert (cascade.job["status"], cascade.refused()) == ("done", 5)


def test_an_exchange_that_wins_against_the_revoke_is_ended_too(cascade: Cascade) -> None:
    with interleaved(cascade.exchange, on="TransactWriteItems") as won:
        cascade.revoke()
    late = host_of(cascade.tenant.api, won[0])
    cascade.step()
    assert cascade.job["total"] == 6
    assert late.beat().code == "key_revoked"


@pytest.mark.parametrize("number", [1, 3, 8, 12, 13])
def test_a_step_that_crashes_half_way_is_taken_again(cascade: Cascade, number: int) -> None:
    cascade.revoke()
    image = cascade.image()
    # Not even how far it came can be written down.
    with (
        injected(faults.DENIED, first=number, times=faults.ALWAYS),
        pytest.raises(Unavailable),
    ):
        cascade.step(image)
    assert cascade.job["status"] == "queued"
    for _ in range(3):
        cascade.step()
    assert (cascade.job["status"], cascade.refused()) == ("done", 5)
    for host in cascade.hosts:
        events = [record["event"] for record in cascade.tenant.audit("agent", host.agent_id)]
        assert events.count("agent.revoked") == 1


def test_a_record_that_comes_twice_or_late_changes_nothing(cascade: Cascade) -> None:
    cascade.revoke()
    image = cascade.image()
    cascade.step(image)
    done = cascade.job
    with counted() as requests:
        cascade.step(image)
    assert requests.writes == []
    assert cascade.job == done
    finished = cascade.tenant.audit("job", cascade.pk.split("#")[1])
    assert sorted(record["event"] for record in finished) == ["job.finished", "job.started"]


def test_a_step_that_runs_out_of_time_is_not_done(cascade: Cascade) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 0

    cascade.revoke()
    workers.run_jobs([cascade.image()], Context())
    assert cascade.job["status"] == "running"
    cascade.step()
    assert cascade.job["status"] == "done"


def test_a_job_that_gave_up_says_so_and_starts_again_when_asked(cascade: Cascade) -> None:
    cascade.revoke()
    for _ in range(20):
        with injected(faults.DENIED, on="Query", times=faults.ALWAYS):
            cascade.step()
    assert (cascade.job["status"], cascade.job["last_error"]) == ("failed", "store_unavailable")
    assert cascade.exchange().code == "token_revoked"
    assert cascade.revoke().body["job"]["status"] == "queued"
    cascade.step()
    assert (cascade.job["status"], cascade.refused()) == ("done", 5)
    assert len(agents_of(cascade.tenant)) == 5


def test_a_worker_without_a_memory_ends_them_too(cascade: Cascade, clock: FrozenClock) -> None:
    cascade.revoke()
    runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
    cascade.step()
    assert cascade.refused() == 5
