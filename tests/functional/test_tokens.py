import hashlib
import json
import re
import secrets
from typing import Any

import pytest

from chalicelib import ids
from chalicelib.credentials import enrollment_token
from chalicelib.credentials.outcome import Verified
from chalicelib.store import enrollment_tokens
from chalicelib.store.denials import DenialItem
from chalicelib.store.enrollment_tokens import EnrollmentTokenItem
from tests.functional.api import Tenant
from tests.functional.clock import FrozenClock
from tests.functional.world import empty_tables, organization_key_with

SHOWN = {
    "enrollment_token_id", "project", "environment", "status", "uses", "max_uses", "created_at",
    "created_by", "expires_at", "hostname", "source_cidrs", "labels", "note",
    "replace_machine", "replace_offline_seconds",
}  # fmt: skip
TOKENS = "/agent-enrollment/tokens"


@pytest.fixture(autouse=True)
def _fresh(stack: dict[str, str]) -> None:
    assert stack
    empty_tables()


def get(tenant: Tenant, token: dict[str, Any]) -> dict[str, Any]:
    """The token as operators see it."""
    answer = tenant.call("GET", f"{TOKENS}/{token['enrollment_token_id']}")
    assert answer.status == 200, answer.body
    assert isinstance(answer.body, dict)
    return answer.body


def test_a_mint_that_says_nothing_gets_one_use_for_an_hour(tenant: Tenant) -> None:
    minted = tenant.mint()
    assert set(minted) == {*SHOWN, "token", "agent_release_key_sha256"}
    assert minted["project"] == tenant.project
    assert minted["environment"] == tenant.environment
    assert (minted["status"], minted["uses"], minted["max_uses"]) == ("active", 0, 1)
    assert minted["created_at"] == "2026-05-28T20:26:40.000Z"
    assert minted["expires_at"] == "2026-05-28T21:26:40.000Z"
    assert re.fullmatch(r"key_[0-9a-v]{20}", minted["created_by"])
    assert (minted["hostname"], minted["note"]) == (None, None)
    assert (minted["source_cidrs"], minted["labels"]) == ([], {})
    assert (minted["replace_machine"], minted["replace_offline_seconds"]) == (False, None)


def test_a_mint_keeps_what_it_was_told(tenant: Tenant) -> None:
    minted = tenant.mint(
        ttl_seconds=60,
        max_uses=10_000,
        hostname="Edge-1.Example",
        source_cidrs=["10.0.0.0/8", "2001:DB8::/32", "192.0.2.7"],
        labels={"site": "köln", "rack": ""},
        note="for the new rack 🚚",
        replace_machine=True,
        replace_offline_seconds=1_800,
    )
    assert minted["expires_at"] == "2026-05-28T20:27:40.000Z"
    assert minted["max_uses"] == 10_000
    assert minted["hostname"] == "edge-1.example"
    assert minted["source_cidrs"] == ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"]
    assert minted["labels"] == {"site": "köln", "rack": ""}
    assert minted["note"] == "for the new rack 🚚"
    assert (minted["replace_machine"], minted["replace_offline_seconds"]) == (True, 1_800)
    assert get(tenant, minted) == {name: minted[name] for name in SHOWN}


@pytest.mark.parametrize(
    ("scopes", "status"),
    [({"enrollment:write"}, 403), ({"enrollment:write", "agents:write"}, 201)],
)
def test_a_token_that_may_end_an_agent_takes_the_scope_to_end_agents(
    tenant: Tenant, scopes: set[str], status: int
) -> None:
    wanted = {"environment": tenant.environment, "replace_machine": True}
    key = organization_key_with(tenant, scopes)
    answer = tenant.api.call("POST", f"/api/v1{TOKENS}", wanted, credential=key)
    assert answer.status == status, answer.body
    if status == 403:
        assert answer.code == "scope_missing"
        assert tenant.call("GET", TOKENS).body["enrollment_tokens"] == []
        assert list(DenialItem.scan())


def test_the_secret_is_the_token_of_its_organization(tenant: Tenant) -> None:
    minted = tenant.mint()
    outcome = enrollment_token.FAMILY.read(minted["token"])
    assert isinstance(outcome, Verified)
    assert outcome.claims.organization == tenant.organization
    assert outcome.claims.id == minted["enrollment_token_id"]


def test_the_secret_and_its_hash_are_in_no_later_answer(tenant: Tenant) -> None:
    minted = tenant.mint(max_uses=2)
    raw = minted["token"]
    assert tenant.exchange(raw).status == 201
    path = f"{TOKENS}/{minted['enrollment_token_id']}"
    later = [
        tenant.call("GET", path),
        tenant.call("GET", TOKENS),
        tenant.call("POST", f"{path}/revoke", {"cascade": True}),
        tenant.call("GET", "/audit-records"),
        tenant.call("GET", "/agents"),
        tenant.exchange(raw),
    ]
    digest = hashlib.sha256(raw.encode())
    random_part = raw.split("_")[-1][:52]
    for answer in later:
        text = json.dumps(answer.body)
        for secret in (raw, random_part, digest.hexdigest()):
            assert secret not in text


def test_the_table_keeps_the_hash_and_not_the_secret(tenant: Tenant) -> None:
    minted = tenant.mint()
    row = enrollment_tokens.find(tenant.organization, minted["enrollment_token_id"])
    assert row is not None
    assert row.digest == hashlib.sha256(minted["token"].encode()).digest()
    stored = str(EnrollmentTokenItem.serialize(row))
    assert minted["token"].split("_")[-1][:52] not in stored


def test_answers_may_be_kept_by_no_cache(tenant: Tenant) -> None:
    minted = tenant.call("POST", TOKENS, {"environment": tenant.environment})
    exchanged = tenant.exchange(minted.body["token"])
    for answer in (minted, exchanged, tenant.call("GET", TOKENS)):
        assert answer.headers["Cache-Control"] == "no-store"


def test_a_token_outlives_its_end_by_thirty_days_in_the_table(tenant: Tenant) -> None:
    minted = tenant.mint(ttl_seconds=3600)
    row = enrollment_tokens.find(tenant.organization, minted["enrollment_token_id"])
    assert row is not None
    assert row.ttl is not None
    assert int(row.ttl.timestamp()) == 1_780_000_000 + 3600 + 30 * 86_400


def test_a_mint_repeated_with_its_idempotency_key_names_the_token_and_makes_none(
    tenant: Tenant,
) -> None:
    headers = {"Idempotency-Key": secrets.token_urlsafe(32)}
    body = {"environment": tenant.environment}
    first = tenant.call("POST", TOKENS, body, headers=headers)
    assert first.status == 201
    for again in (body, {**body, "max_uses": 7}):
        repeated = tenant.call("POST", TOKENS, again, headers=headers)
        assert (repeated.status, repeated.code) == (409, "already_minted")
        assert repeated.body["enrollment_token_id"] == first.body["enrollment_token_id"]
        assert first.body["token"] not in json.dumps(repeated.body)
    assert len(tenant.call("GET", TOKENS).body["enrollment_tokens"]) == 1


def test_an_idempotency_key_of_another_tenant_is_no_other_ones(
    tenant: Tenant, other_tenant: Tenant
) -> None:
    headers = {"Idempotency-Key": secrets.token_urlsafe(32)}
    for each in (tenant, other_tenant):
        answer = each.call("POST", TOKENS, {"environment": each.environment}, headers=headers)
        assert answer.status == 201


def test_an_idempotency_key_of_a_refused_mint_can_be_used_again(tenant: Tenant) -> None:
    headers = {"Idempotency-Key": secrets.token_urlsafe(32)}
    refused = tenant.call("POST", TOKENS, {"environment": ids.new("env")}, headers=headers)
    assert (refused.status, refused.code) == (404, "environment_not_found")
    body = {"environment": tenant.environment}
    assert tenant.call("POST", TOKENS, body, headers=headers).status == 201


def test_the_status_is_what_an_exchange_would_be_told(tenant: Tenant, clock: FrozenClock) -> None:
    spent, expired, revoked, active = (
        tenant.mint(ttl_seconds=ttl) for ttl in (3600, 60, 3600, 3600)
    )
    assert tenant.exchange(spent["token"]).status == 201
    ended = tenant.call("POST", f"{TOKENS}/{revoked['enrollment_token_id']}/revoke")
    assert (ended.status, ended.body["status"]) == (200, "revoked")
    clock.advance(seconds=60)
    told = {
        "spent": tenant.exchange(spent["token"]),
        "expired": tenant.exchange(expired["token"]),
        "revoked": tenant.exchange(revoked["token"]),
    }
    for status, (token, answer) in zip(
        told, zip((spent, expired, revoked), told.values(), strict=True), strict=True
    ):
        assert (answer.status, answer.code) == (410, f"token_{status}")
        assert get(tenant, token)["status"] == status
    assert get(tenant, active)["status"] == "active"


@pytest.mark.parametrize("moment", [59.999, 60.0])
def test_a_token_ends_at_its_very_millisecond(
    tenant: Tenant, clock: FrozenClock, moment: float
) -> None:
    minted = tenant.mint(ttl_seconds=60)
    clock.advance(seconds=moment)
    expired = moment >= 60
    assert get(tenant, minted)["status"] == ("expired" if expired else "active")
    assert tenant.exchange(minted["token"]).status == (410 if expired else 201)


def test_revoked_is_said_before_expired_and_expired_before_spent(
    tenant: Tenant, clock: FrozenClock
) -> None:
    minted = tenant.mint(ttl_seconds=60)
    assert tenant.exchange(minted["token"]).status == 201
    assert get(tenant, minted)["status"] == "spent"
    clock.advance(seconds=60)
    assert get(tenant, minted)["status"] == "expired"
    assert tenant.exchange(minted["token"]).code == "token_expired"
    tenant.call("POST", f"{TOKENS}/{minted['enrollment_token_id']}/revoke")
    assert get(tenant, minted)["status"] == "revoked"
    assert tenant.exchange(minted["token"]).code == "token_revoked"


def test_revoking_twice_changes_nothing_and_leaves_one_record(
    tenant: Tenant, clock: FrozenClock
) -> None:
    minted = tenant.mint()
    clock.advance(seconds=1)
    path = f"{TOKENS}/{minted['enrollment_token_id']}/revoke"
    first = tenant.call("POST", path, {"note": "leaked"})
    clock.advance(seconds=1)
    second = tenant.call("POST", path, {"note": "again"})
    assert first.status == second.status == 200
    assert first.body == second.body
    records = tenant.audit("enrollment_token", minted["enrollment_token_id"])
    assert [record["event"] for record in records] == [
        "agent.enrollment_token.issued",
        "agent.enrollment_token.revoked",
    ]
    assert records[1]["detail"]["note"] == "leaked"


def test_a_revoke_without_cascade_leaves_the_agents(tenant: Tenant) -> None:
    minted = tenant.mint()
    agent = tenant.exchange(minted["token"]).body["agent_id"]
    answer = tenant.call("POST", f"{TOKENS}/{minted['enrollment_token_id']}/revoke", {})
    assert answer.status == 200
    assert "job" not in answer.body
    assert tenant.call("GET", f"/agents/{agent}").body["status"] == "enrolled"


def test_labels_of_the_token_are_inherited_and_win(tenant: Tenant) -> None:
    minted = tenant.mint(labels={"site": "a", "team": "core"})
    said = {"site": "b", "rack": "7"}
    enrolled = tenant.exchange(minted["token"], labels=said).body
    assert enrolled["labels"] == {"site": "a", "team": "core", "rack": "7"}
    seen = tenant.call("GET", f"/agents/{enrolled['agent_id']}").body
    assert seen["labels"] == enrolled["labels"]


@pytest.mark.parametrize(
    ("cidrs", "status"),
    [
        (["127.0.0.0/8"], 201),
        (["10.0.0.0/8", "127.0.0.1"], 201),
        (["10.0.0.0/8"], 403),
        (["::/0"], 403),
        (["0.0.0.0/0"], 201),
    ],
)
def test_a_token_admits_its_source_networks_alone(
    tenant: Tenant, cidrs: list[str], status: int
) -> None:
    minted = tenant.mint(source_cidrs=cidrs)
    answer = tenant.exchange(minted["token"])
    assert answer.status == status
    assert answer.code == (None if status == 201 else "source_address_refused")
    assert get(tenant, minted)["uses"] == (1 if status == 201 else 0)


def test_a_token_admits_its_hostname_alone_without_regard_to_case(tenant: Tenant) -> None:
    minted = tenant.mint(hostname="Edge-1")
    refused = tenant.exchange(minted["token"], hostname="edge-2")
    assert (refused.status, refused.code) == (403, "hostname_mismatch")
    assert tenant.exchange(minted["token"], hostname="EDGE-1").status == 201
