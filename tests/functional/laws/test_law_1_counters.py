"""Law 1: a token of many uses counts them in several rows, and exactly."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from pynamodb.exceptions import UpdateError

from chalicelib.store import token_counters
from chalicelib.store.enrollment_tokens import ACTIVE, REVOKED, EnrollmentTokenItem
from tests.functional.api import Answer, Api, Tenant
from tests.functional.laws import faults
from tests.functional.laws.faults import injected, interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.laws.stories import (
    agents_of,
    host_of,
    idempotency_key,
    rows_of,
    token_row,
)

MANY = 50
"""The fewest uses that are counted in more than one row."""


@pytest.fixture
def token(tenant: Tenant) -> dict[str, Any]:
    return tenant.mint(max_uses=MANY)


def counters_of(tenant: Tenant, token: dict[str, Any]) -> list[EnrollmentTokenItem]:
    return token_counters.read(tenant.organization, token_row(tenant, token))


def shown(tenant: Tenant, token: dict[str, Any]) -> dict[str, Any]:
    answer = tenant.call("GET", f"/agent-enrollment/tokens/{token['enrollment_token_id']}")
    assert isinstance(answer.body, dict)
    return answer.body


def spend(row: EnrollmentTokenItem, *, all_but: int = 0) -> None:
    """Count uses behind the API's back."""
    row.update(actions=[EnrollmentTokenItem.uses.set(int(row.max_uses) - all_but)])


def revoke(tenant: Tenant, token: dict[str, Any], **said: Any) -> Answer:
    path = f"/agent-enrollment/tokens/{token['enrollment_token_id']}/revoke"
    return tenant.call("POST", path, said or None)


@pytest.mark.parametrize(
    ("uses", "rows"), [(1, 0), (49, 0), (50, 2), (77, 3), (400, 16), (9_999, 16), (10_000, 16)]
)
def test_the_counter_rows_hold_all_uses_and_no_more(tenant: Tenant, uses: int, rows: int) -> None:
    token = tenant.mint(max_uses=uses)
    found = counters_of(tenant, token)
    assert len(found) == rows
    if rows:
        assert sum(int(row.max_uses) for row in found) == uses
        assert max(row.max_uses for row in found) - min(row.max_uses for row in found) <= 1
    assert (shown(tenant, token)["uses"], shown(tenant, token)["max_uses"]) == (0, uses)


def test_an_exchange_is_three_requests_and_leaves_the_tokens_own_row_alone(
    tenant: Tenant, token: dict[str, Any]
) -> None:
    with counted() as requests:
        answer = tenant.exchange(token["token"], idempotency_key=idempotency_key())
    assert answer.status == 201, answer.body
    assert requests.operations == ["BatchGetItem", "BatchGetItem", "TransactWriteItems"]
    assert not any(sent.eventually_consistent for sent in requests.sent)
    own = token_row(tenant, token).pk
    written = [next(iter(part.values())) for part in requests.transactions[0].body["TransactItems"]]
    assert len(written) == 6
    assert all(part.get("Key") != {"pk": {"S": own}} for part in written)
    assert shown(tenant, token)["uses"] == 1


def test_a_replay_is_conditional_on_the_row_that_counted_its_use(
    tenant: Tenant, token: dict[str, Any]
) -> None:
    key = idempotency_key()
    first = tenant.exchange(token["token"], idempotency_key=key)
    with counted() as requests:
        again = tenant.exchange(token["token"], idempotency_key=key)
    assert (again.status, again.body["agent_id"]) == (200, first.body["agent_id"])
    parts = requests.transactions[0].body["TransactItems"]
    (checked,) = (part["ConditionCheck"] for part in parts if "ConditionCheck" in part)
    (row,) = (row for row in counters_of(tenant, token) if row.uses)
    assert checked["Key"] == {"pk": {"S": row.pk}}

    row.update(actions=[EnrollmentTokenItem.status.set(REVOKED)])
    refused = tenant.exchange(token["token"], idempotency_key=key)
    assert (refused.status, refused.code) == (410, "token_revoked")


def test_code_that_knows_no_counter_rows_cannot_count_a_use(
    tenant: Tenant, token: dict[str, Any]
) -> None:
    """Such as that of the version before, while a deployment replaces its functions."""
    item = EnrollmentTokenItem
    with pytest.raises(UpdateError) as refused:
        token_row(tenant, token).update(
            actions=[item.uses.add(1)],
            condition=(item.status == ACTIVE) & (item.uses < item.max_uses),
        )
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"


def test_a_list_that_passes_many_tokens_over_reads_their_rows_together(tenant: Tenant) -> None:
    for _ in range(40):
        tenant.mint(max_uses=400)
    with counted() as requests:
        answer = tenant.call("GET", "/agent-enrollment/tokens?status=spent&limit=1")
    assert answer.body["enrollment_tokens"] == []
    assert requests.operations.count("BatchGetItem") <= 8


def test_a_short_list_reads_the_rows_of_no_token_that_it_does_not_show(tenant: Tenant) -> None:
    for _ in range(12):
        tenant.mint(max_uses=400)
    with counted() as requests:
        answer = tenant.call("GET", "/agent-enrollment/tokens?limit=1")
    assert len(answer.body["enrollment_tokens"]) == 1
    _, read = (sent for sent in requests.sent if sent.operation == "BatchGetItem")
    assert len(read.tables) == 16


def test_every_use_is_given_out_before_the_token_is_spent(
    tenant: Tenant, token: dict[str, Any]
) -> None:
    answers = [tenant.exchange(token["token"]) for _ in range(MANY + 2)]
    assert [answer.status for answer in answers] == [201] * MANY + [410] * 2
    assert {answer.code for answer in answers[MANY:]} == {"token_spent"}
    assert len(agents_of(tenant)) == MANY
    assert (shown(tenant, token)["uses"], shown(tenant, token)["status"]) == (MANY, "spent")
    assert [int(row.uses) for row in counters_of(tenant, token)] == [25, 25]
    assert token_row(tenant, token).uses is None  # nobody wrote the own row


def test_lists_know_the_uses_and_the_spent_ones(tenant: Tenant, token: dict[str, Any]) -> None:
    few = tenant.mint(max_uses=2)
    tenant.exchange(few["token"])
    for row in counters_of(tenant, token):
        spend(row)
    other = tenant.mint(max_uses=400)
    spend(counters_of(tenant, other)[3])
    listed = tenant.call("GET", "/agent-enrollment/tokens").body["enrollment_tokens"]
    uses = {found["enrollment_token_id"]: found["uses"] for found in listed}
    assert [uses[one["enrollment_token_id"]] for one in (token, few, other)] == [MANY, 1, 25]
    spent = tenant.call("GET", "/agent-enrollment/tokens?status=spent").body["enrollment_tokens"]
    assert [found["enrollment_token_id"] for found in spent] == [token["enrollment_token_id"]]


def test_a_row_that_is_spent_meanwhile_is_no_verdict_while_another_has_a_use(
    tenant: Tenant, token: dict[str, Any]
) -> None:
    first, second = counters_of(tenant, token)

    def leave_one_in(row: EnrollmentTokenItem, other: EnrollmentTokenItem) -> None:
        spend(row, all_but=1)
        spend(other)

    # The injected randomness picks one of the two rows; whichever, the other gets its turn.
    for rows in ((first, second), (second, first)):
        for row in rows:
            row.update(actions=[EnrollmentTokenItem.uses.set(0)])
        with interleaved(partial(leave_one_in, *rows), first=3):
            answer = tenant.exchange(token["token"], idempotency_key=idempotency_key())
        assert answer.status == 201, answer.body
        assert shown(tenant, token)["uses"] == MANY
    assert len(agents_of(tenant)) == 2


def test_the_last_use_of_all_rows_goes_to_one_of_two(tenant: Tenant, token: dict[str, Any]) -> None:
    first, second = counters_of(tenant, token)
    spend(first)
    spend(second, all_but=1)
    with interleaved(lambda: tenant.exchange(token["token"]), first=3) as others:
        answer = tenant.exchange(token["token"], idempotency_key=idempotency_key())
    assert others[0].status == 201
    assert (answer.status, answer.code) == (410, "token_spent")
    assert shown(tenant, token)["uses"] == MANY
    assert len(agents_of(tenant)) == 1


@pytest.mark.parametrize("left", [MANY, 2])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_two_first_exchanges_with_one_key_are_one_agent(
    api: Api, tenant: Tenant, token: dict[str, Any], number: int, left: int
) -> None:
    first, second = counters_of(tenant, token)
    if left == 2:  # one in each row: the twin spends the row that this one would take
        spend(first, all_but=1)
        spend(second, all_but=1)
    key = idempotency_key()
    with interleaved(
        lambda: tenant.exchange(token["token"], idempotency_key=key), first=number
    ) as others:
        answer = tenant.exchange(token["token"], idempotency_key=key)
    assert others[0].status == 201
    assert (answer.status, answer.body["replayed"]) == (200, True)
    assert answer.body["agent_id"] == others[0].body["agent_id"]
    assert agents_of(tenant) == [answer.body["agent_id"]]
    assert shown(tenant, token)["uses"] == MANY - left + 1
    assert host_of(api, answer).beat().status == 200


def test_a_spent_token_still_serves_its_replays(tenant: Tenant, token: dict[str, Any]) -> None:
    key = idempotency_key()
    first = tenant.exchange(token["token"], idempotency_key=key)
    for row in counters_of(tenant, token):
        spend(row)
    again = tenant.exchange(token["token"], idempotency_key=key)
    assert (again.status, again.body["agent_id"]) == (200, first.body["agent_id"])
    revoke(tenant, token)
    assert tenant.exchange(token["token"], idempotency_key=key).code == "token_revoked"


@pytest.mark.parametrize("fault", faults.OF_A_WRITE, ids=str)
def test_one_fault_of_the_transaction_costs_no_second_use(
    tenant: Tenant, token: dict[str, Any], fault: faults.Fault
) -> None:
    with injected(fault, on="TransactWriteItems"):
        assert tenant.exchange(token["token"]).status == 201
    assert shown(tenant, token)["uses"] == 1 == len(agents_of(tenant))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_revoking_during_an_exchange_closes_every_row(
    tenant: Tenant, token: dict[str, Any], number: int
) -> None:
    with interleaved(lambda: revoke(tenant, token), first=number) as others:
        answer = tenant.exchange(token["token"])
    assert others[0].status == 200
    assert (answer.status, answer.code) == (410, "token_revoked")
    assert agents_of(tenant) == []
    assert {row.status for row in counters_of(tenant, token)} == {REVOKED}


def _half_revoked(tenant: Tenant, token: dict[str, Any], **said: Any) -> Callable[[], None]:
    """Revoke, but let the rows be in use for as long as the request waits for them."""

    def attempt() -> None:
        # The first transaction is the token's own end.
        with injected(faults.CONFLICT, on="TransactWriteItems", first=2, times=faults.ALWAYS):
            answer = revoke(tenant, token, **said)
        assert (answer.status, answer.code) == (503, "contention")

    return attempt


def test_a_revoke_that_could_not_close_every_row_says_so_and_is_repeated(
    tenant: Tenant, token: dict[str, Any]
) -> None:
    _half_revoked(tenant, token)()
    assert {row.status for row in counters_of(tenant, token)} == {ACTIVE}
    # Whoever asks from now on is refused all the same.
    assert tenant.exchange(token["token"]).code == "token_revoked"
    assert revoke(tenant, token).status == 200
    assert {row.status for row in counters_of(tenant, token)} == {REVOKED}
    events = [row["event"]["S"] for row in rows_of(tenant, "audit_records")]
    assert events.count("agent.enrollment_token.revoked") == 1


def test_a_cascade_closes_the_rows_before_it_counts_whom_to_end(
    tenant: Tenant, token: dict[str, Any]
) -> None:
    """The request that revoked came to nothing after the token's row; the job goes on."""
    from tests.functional.laws.test_law_3_revocation import Cascade

    cascade = Cascade.__new__(Cascade)
    cascade.tenant, cascade.token, cascade.hosts = tenant, token, []
    with interleaved(_half_revoked(tenant, token, cascade=True), on="TransactWriteItems"):
        late = tenant.exchange(token["token"])
    assert late.status == 201  # it had seen the token before, and its row was open still
    (job,) = rows_of(tenant, "jobs")
    cascade.pk = job["pk"]["S"]
    cascade.step()
    assert (cascade.job["status"], cascade.job["total"]) == ("done", 1)
    assert {row.status for row in counters_of(tenant, token)} == {REVOKED}
    assert host_of(tenant.api, late).beat().code == "key_revoked"
