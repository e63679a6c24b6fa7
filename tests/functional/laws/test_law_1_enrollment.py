"""Law 1: an enrollment token cannot be burned. What an exchange asks for, sends and answers."""

from typing import Any

import pytest

from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from tests.functional.api import Api, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.request_counter import counted
from tests.functional.laws.signing_requests import csr_of, small_rsa_csr, tampered_csr
from tests.functional.laws.stories import (
    ARTIFACT,
    TABLES,
    agents_of,
    host_of,
    idempotency_key,
    names_of,
    rows_of,
    token_row,
    uses_of,
)

BAD_REQUESTS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"hostname": "../../etc/passwd"}, {}),
    ({"hostname": "host\x00"}, {}),
    ({"hostname": 7}, {}),
    ({"name": "no spaces allowed"}, {}),
    ({"labels": {"UPPER": "x"}}, {}),
    ({"unknown": 1}, {}),
    ({"machine_id": "x" * 200}, {}),
    ({"csr": "not a csr"}, {}),
    ({"csr": small_rsa_csr()}, {}),
    ({"csr": tampered_csr()}, {}),
    ({"csr": csr_of("secp521r1")}, {}),
    ({}, {"Idempotency-Key": "too-short"}),
    ({}, {"Idempotency-Key": "x" * 129}),
]


@pytest.mark.parametrize(("said", "headers"), BAD_REQUESTS)
def test_a_bad_request_is_refused_before_the_token_is_looked_at(
    tenant: Tenant, said: dict[str, Any], headers: dict[str, str]
) -> None:
    token = tenant.mint()
    with counted() as requests:
        answer = tenant.api.call(
            "POST",
            "/api/v1/agent-enrollment/exchange",
            {"hostname": "host-1", **said},
            credential=token["token"],
            headers=headers,
        )
    assert answer.status == 400, answer.body
    assert requests.operations == []
    assert uses_of(tenant, token) == 0


@pytest.mark.parametrize(
    ("said", "with_key", "items"),
    [({}, False, 5), ({}, True, 6), ({"csr": csr_of()}, True, 7)],
    ids=["bare", "with_idempotency_key", "with_csr"],
)
def test_an_exchange_is_three_requests_and_its_writes_are_one_transaction(
    tenant: Tenant, said: dict[str, Any], with_key: bool, items: int
) -> None:
    token = tenant.mint()
    with counted() as requests:
        answer = tenant.exchange(
            token["token"], idempotency_key=idempotency_key() if with_key else None, **said
        )
    assert answer.status == 201, answer.body
    # Token and receipt; the environment that the token names; all that is written.
    assert requests.operations == ["BatchGetItem", "GetItem", "TransactWriteItems"]
    assert not any(sent.eventually_consistent for sent in requests.sent)
    parts = requests.transactions[0].parts
    expected = [
        ("Put", "agent_identities"),  # the identity
        ("Put", "agent_identities"),  # its name
        ("Put", "agent_presence"),
        *([("Put", "agent_device_certificates")] if said else []),
        *([("Put", "agent_enrollment_tokens")] if with_key else []),
        ("Put", "audit_records"),
        ("Update", "agent_enrollment_tokens"),
    ]
    assert sorted(parts) == sorted(expected)
    assert len(parts) == items
    assert all(
        "ConditionExpression" in next(iter(part.values()))
        for part in requests.transactions[0].body["TransactItems"]
    )


def test_a_replay_is_four_requests(tenant: Tenant) -> None:
    token, key = tenant.mint(), idempotency_key()
    tenant.exchange(token["token"], idempotency_key=key)
    with counted() as requests:
        again = tenant.exchange(token["token"], idempotency_key=key)
    assert (again.status, again.body["replayed"]) == (200, True)
    assert requests.operations == ["BatchGetItem", "GetItem", "GetItem", "TransactWriteItems"]
    assert sorted(requests.transactions[0].parts) == [
        ("ConditionCheck", "agent_enrollment_tokens"),
        ("Put", "audit_records"),
        ("Update", "agent_enrollment_tokens"),
        ("Update", "agent_presence"),
    ]


def test_the_idempotency_key_is_a_secret_that_only_its_hash_is_kept_of(tenant: Tenant) -> None:
    token, key = tenant.mint(), idempotency_key()
    runtime_key = tenant.exchange(token["token"], idempotency_key=key).body["runtime_key"]
    rows = [str(row) for table in TABLES for row in rows_of(tenant, table)]
    assert rows
    for secret in (key, token["token"], runtime_key, tenant.key):
        assert not any(secret in row for row in rows)


def test_without_a_key_there_is_no_replay(tenant: Tenant) -> None:
    token = tenant.mint()
    assert tenant.exchange(token["token"]).status == 201
    again = tenant.exchange(token["token"])
    assert (again.status, again.code) == (410, "token_spent")


def test_another_idempotency_key_is_another_use(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=2)
    answers = [tenant.exchange(token["token"], idempotency_key=idempotency_key()) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 410]
    assert answers[2].code == "token_spent"
    assert uses_of(tenant, token) == 2
    assert len(agents_of(tenant)) == 2


def test_the_holder_is_told_why_and_nobody_else_is(tenant: Tenant, clock: FrozenClock) -> None:
    spent, expired, revoked = tenant.mint(), tenant.mint(ttl_seconds=60), tenant.mint()
    tenant.exchange(spent["token"])
    tenant.call("POST", f"/agent-enrollment/tokens/{revoked['enrollment_token_id']}/revoke")
    clock.advance(seconds=60)
    for token, code in (
        (spent, "token_spent"),
        (expired, "token_expired"),
        (revoked, "token_revoked"),
    ):
        told = tenant.exchange(token["token"])
        assert (told.status, told.code) == (410, code)
        # The same token id under a secret of somebody else's making.
        forged = forge(tenant, token["enrollment_token_id"])
        answer = tenant.exchange(forged)
        assert (answer.status, answer.code) == (401, "credential_invalid")
    unknown = tenant.exchange(forge(tenant, "tok_" + "0" * 20))
    assert (unknown.status, unknown.code) == (401, "credential_invalid")
    assert unknown.body["detail"] == answer.body["detail"]


def forge(tenant: Tenant, token_id: str) -> str:
    """A well-formed token with a wrong secret."""
    from chalicelib.credentials import enrollment_token

    return enrollment_token.FAMILY.issue(tenant.organization, token_id)


def test_a_token_expires_at_the_millisecond(tenant: Tenant, clock: FrozenClock) -> None:
    token = tenant.mint(ttl_seconds=60, max_uses=2)
    clock.now += 59_999
    assert tenant.exchange(token["token"]).status == 201
    clock.now += 1
    assert tenant.exchange(token["token"]).code == "token_expired"


def test_a_token_for_one_host_is_spent_by_no_other(tenant: Tenant) -> None:
    token = tenant.mint(hostname="Edge-1.example")
    refused = tenant.exchange(token["token"], hostname="edge-2.example")
    assert (refused.status, refused.code) == (403, "hostname_mismatch")
    assert uses_of(tenant, token) == 0
    assert tenant.exchange(token["token"], hostname="EDGE-1.example").status == 201


@pytest.mark.parametrize(
    ("cidrs", "status"), [(["127.0.0.0/8"], 201), (["10.0.0.0/8", "2001:db8::/32"], 403)]
)
def test_a_token_for_some_addresses_is_spent_by_no_other(
    tenant: Tenant, cidrs: list[str], status: int
) -> None:
    token = tenant.mint(source_cidrs=cidrs)
    answer = tenant.exchange(token["token"])
    assert answer.status == status, answer.body
    assert answer.code == (None if status == 201 else "source_address_refused")
    assert uses_of(tenant, token) == (1 if status == 201 else 0)


def test_a_taken_name_costs_nothing(tenant: Tenant) -> None:
    tenant.enroll(name="edge")
    token = tenant.mint()
    taken = tenant.exchange(token["token"], name="EDGE")
    assert (taken.status, taken.code) == (409, "name_taken")
    assert uses_of(tenant, token) == 0
    assert len(agents_of(tenant)) == 1
    assert tenant.exchange(token["token"], name="edge-2").status == 201


def test_derived_names_are_made_unique(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=5)
    answers = [tenant.exchange(token["token"], hostname="web_1.example") for _ in range(5)]
    assert [answer.status for answer in answers] == [201] * 5
    names = [answer.body["name"] for answer in answers]
    assert len({name.lower() for name in names}) == 5
    assert all(name.startswith("web-1.example") for name in names)
    assert names_of(tenant) == sorted(names)
    assert uses_of(tenant, token) == 5


@pytest.mark.parametrize("hostname", ["_", "__.__", "x" * 253, "a.-" * 60 + "a", "9"])
def test_every_hostname_gives_a_name_that_an_operator_could_give(
    tenant: Tenant, hostname: str
) -> None:
    host = tenant.enroll(hostname=hostname)
    name = host.enrollment["name"]
    again = tenant.call("PATCH", f"/agents/{host.agent_id}", {"name": name})
    assert again.status == 200, again.body


@pytest.mark.parametrize("curve", ["secp256r1", "secp384r1", "ed25519", "rsa-2048"])
def test_a_csr_gets_a_placeholder_certificate(tenant: Tenant, curve: str) -> None:
    answer = tenant.exchange(tenant.mint()["token"], csr=csr_of(curve))
    assert answer.status == 201, answer.body
    assert answer.body["certificate"]["placeholder"] is True
    (row,) = rows_of(tenant, "agent_device_certificates")
    assert row["certificate_id"]["S"] == answer.body["certificate"]["certificate_id"]
    assert row["public_key_sha256"]["S"] == answer.body["certificate"]["public_key_sha256"]
    assert "CERTIFICATE REQUEST" not in str(row)


def test_before_the_first_heartbeat_the_other_routes_wait(tenant: Tenant) -> None:
    host = tenant.enroll()
    for method, path, body in (
        ("POST", "/artifacts", ARTIFACT),
        ("GET", "/artifacts/art_" + "0" * 20, None),
    ):
        early = host.call(method, path, body)
        assert (early.status, early.code) == (409, "not_active")
    assert host.beat().status == 200
    assert host.call("POST", "/artifacts", ARTIFACT).status == 201


def test_a_token_status_that_this_version_does_not_know_admits_nobody(tenant: Tenant) -> None:
    token, key = tenant.mint(max_uses=2), idempotency_key()
    tenant.exchange(token["token"], idempotency_key=key)
    token_row(tenant, token).update(actions=[EnrollmentTokenItem.status.set("suspended")])
    for attempt in (idempotency_key(), key):  # a first exchange, and a replay
        answer = tenant.exchange(token["token"], idempotency_key=attempt)
        assert (answer.status, answer.code) == (403, "token_not_active")
    assert uses_of(tenant, token) == 1


def test_the_enrolled_host_can_beat(api: Api, tenant: Tenant) -> None:
    answer = tenant.exchange(tenant.mint()["token"], idempotency_key=idempotency_key())
    assert host_of(api, answer).beat().status == 200


def test_a_host_may_say_nothing_of_itself(tenant: Tenant) -> None:
    token = tenant.mint(max_uses=2)
    answers = [
        tenant.api.call("POST", "/api/v1/agent-enrollment/exchange", {}, credential=token["token"])
        for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [201, 201]
    first, second = (answer.body["name"] for answer in answers)
    assert first == "agent"
    assert second.startswith("agent-")


def test_a_host_without_a_hostname_is_not_the_one_that_the_token_names(tenant: Tenant) -> None:
    token = tenant.mint(hostname="edge-1.example")
    refused = tenant.api.call(
        "POST", "/api/v1/agent-enrollment/exchange", {"name": "edge-1"}, credential=token["token"]
    )
    assert (refused.status, refused.code) == (403, "hostname_mismatch")
    assert (
        tenant.call("GET", f"/agent-enrollment/tokens/{token['enrollment_token_id']}").body["uses"]
        == 0
    )


def test_too_many_labels_together_spend_nothing(tenant: Tenant) -> None:
    token = tenant.mint(labels={f"a{number}": "x" for number in range(20)})
    refused = tenant.exchange(token["token"], labels={f"b{number}": "x" for number in range(13)})
    assert (refused.status, refused.code) == (400, "validation_failed")
    assert uses_of(tenant, token) == 0
    same = tenant.exchange(token["token"], labels={f"a{number}": "y" for number in range(20)})
    assert same.status == 201


def test_a_network_that_could_admit_nobody_is_not_minted(tenant: Tenant) -> None:
    answer = tenant.call(
        "POST",
        "/agent-enrollment/tokens",
        {"environment": tenant.environment, "source_cidrs": ["::ffff:10.0.0.0/104"]},
    )
    assert (answer.status, answer.code) == (400, "validation_failed")
