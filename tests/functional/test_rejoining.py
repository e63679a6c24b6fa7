"""What ended with a membership stays ended when the same person joins again, however soon."""

import pytest

from chalicelib import ids, runtime
from chalicelib.errors import DomainError
from chalicelib.evidence.record import Origin
from chalicelib.flows import personal_tokens
from chalicelib.flows.personal_tokens import MintPersonalTokenRequest
from tests.functional.accepting import PASSWORD, PATH, SECONDS, accept, invite, refused, status_of
from tests.functional.api import Answer, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.faults import interleaved
from tests.functional.logins import Account, ended, forget_attempts, session_of
from tests.functional.people import Person, join, open_session, person, personal_token

SCOPES = ["agents:read"]
AT_ONCE_AND_LATER = [0, 0.001, 0.5, 1.999, 2, 2.001, 10]


@pytest.fixture(autouse=True)
def _a_second_of_its_own(clock: FrozenClock) -> None:
    """Tests share the stage, and what it can hash in a second."""
    clock.advance(seconds=next(SECONDS))
    forget_attempts()


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


class Guest:
    """A person who joined by an invitation and logged in, with an account that outlives it."""

    def __init__(self, tenant: Tenant, admin: Person, role: str = "viewer") -> None:
        self.tenant, self.admin, self.role = tenant, admin, role
        self.username = f"guest-{ids.body(ids.new(ids.USER))}"
        answer = accept(tenant.api, invite(admin, role=role)[1], self.username)
        assert answer.status == 201, answer.body
        self.user = answer.body["user_id"]
        self.elsewhere = tenant.api.new_tenant()
        join(self.elsewhere, self.user, self.username, "viewer")
        self.other_session, _ = open_session(self.elsewhere, self.user)

    def log_in(self) -> str:
        who = Account(self.user, self.username, PASSWORD)
        return session_of(who, organization=self.tenant.organization)

    def mint(self, session: str) -> Answer:
        body = {"name": "x", "scopes": SCOPES, "ttl_seconds": 3600}
        return self.tenant.api.call("POST", "/api/v1/me/tokens", body, credential=session)

    def leave(self) -> None:
        assert self.admin.call("DELETE", f"/members/{self.user}").status == 200

    def rejoin(self) -> None:
        _, secret = invite(self.admin, role=self.role)
        body = {"invitation": secret}
        answer = self.tenant.api.call("POST", PATH, body, credential=self.other_session)
        assert answer.status == 201, answer.body

    def may(self, credential: str) -> Answer:
        return self.tenant.api.call("GET", "/api/v1/agents", credential=credential)


@pytest.fixture
def guest(tenant: Tenant, admin: Person) -> Guest:
    return Guest(tenant, admin)


@pytest.mark.parametrize("seconds", AT_ONCE_AND_LATER)
def test_who_comes_back_comes_without_the_sessions_and_tokens_of_before(
    guest: Guest, clock: FrozenClock, seconds: float
) -> None:
    session = guest.log_in()
    token = guest.mint(session).body["token"]
    switched = guest.tenant.api.call(
        "POST",
        "/api/v1/auth/switch",
        {"organization": guest.tenant.organization},
        credential=guest.other_session,
    ).body["session"]
    guest.other_session, _ = open_session(guest.elsewhere, guest.user)
    olds = [session, token, switched]
    assert [guest.may(old).status for old in olds] == [200, 200, 200]
    guest.leave()
    clock.advance(seconds=seconds)
    guest.rejoin()
    for old in olds:
        ended(guest.may(old))
    ended(guest.mint(session))
    again = guest.log_in()
    assert guest.may(again).status == 200
    assert guest.may(guest.mint(again).body["token"]).status == 200


@pytest.mark.parametrize("seconds", [0.001, 0.5, 1.999, 10])
def test_rows_from_before_memberships_had_names_are_told_by_their_time(
    tenant: Tenant, admin: Person, seconds: float
) -> None:
    clock = tenant.api.clock
    guest = person(tenant, "viewer")
    old_token, _ = personal_token(tenant, guest.user, set(SCOPES))
    assert guest.call("GET", "/agents").status == 200
    assert admin.call("DELETE", f"/members/{guest.user}").status == 200
    clock.advance(seconds=seconds)
    join(tenant, guest.user, guest.username, "viewer")
    for raw in (guest.session, old_token):
        ended(tenant.api.call("GET", "/api/v1/agents", credential=raw))
    for raw in (
        open_session(tenant, guest.user)[0],
        personal_token(tenant, guest.user, set(SCOPES))[0],
    ):
        assert tenant.api.call("GET", "/api/v1/agents", credential=raw).status == 200


def test_a_clock_that_is_behind_ends_no_session_of_the_present_membership(guest: Guest) -> None:
    """The worker that opens it may be behind the one that made the person a member."""
    guest.tenant.api.clock.now -= 1_500
    assert guest.may(guest.log_in()).status == 200


def test_who_leaves_and_comes_back_while_the_password_is_verified_gets_no_session(
    guest: Guest,
) -> None:
    def happen() -> None:
        guest.leave()
        guest.rejoin()

    with interleaved(happen, on="TransactWriteItems"), pytest.raises(AssertionError) as failure:
        guest.log_in()
    assert "login_failed" in str(failure.value)


def test_a_session_of_before_mints_nothing_for_the_membership_that_followed(guest: Guest) -> None:
    session = guest.log_in()
    me = guest.tenant.api.call("GET", "/api/v1/me", credential=session).body
    origin = Origin(
        guest.tenant.organization, "user", guest.user, "r-1", None,
        guest.tenant.api.clock.now, me["credential"],
    )  # fmt: skip
    # It was let in a moment ago.
    guest.leave()
    guest.rejoin()
    wanted = MintPersonalTokenRequest(name="x", scopes=SCOPES, ttl_seconds=3600)
    with pytest.raises(DomainError) as refusal:
        personal_tokens.mint(runtime.current().patience, origin, wanted)
    assert (refusal.value.status, refusal.value.code) == (401, "credential_revoked")


@pytest.mark.parametrize("at_once", [False, True])
def test_an_invitation_of_one_who_was_removed_does_not_come_back_with_them(
    tenant: Tenant, admin: Person, clock: FrozenClock, *, at_once: bool
) -> None:
    maker = Guest(tenant, admin, role="org_admin")
    invitation, secret = invite(
        Person(tenant, maker.user, maker.username, maker.log_in()), role="org_admin"
    )
    clock.advance(seconds=0.001)
    newcomer = f"new-{ids.body(ids.new(ids.USER))}"

    def happen() -> None:
        maker.leave()
        maker.rejoin()

    if at_once:
        with interleaved(happen, on="TransactWriteItems"):
            answer = accept(tenant.api, secret, newcomer)
    else:
        happen()
        answer = accept(tenant.api, secret, newcomer)
    refused(answer, 410, "invitation_revoked")
    assert status_of(admin, invitation) == "revoked"


def test_a_change_for_the_membership_of_before_does_not_meet_the_next_one(
    guest: Guest, admin: Person
) -> None:
    """Both begin with the same revision."""

    def happen() -> None:
        guest.leave()
        guest.role = "operator"
        guest.rejoin()

    with interleaved(happen, on="TransactWriteItems"):
        answer = admin.call("PATCH", f"/members/{guest.user}", {"role": "project_admin"})
    assert answer.status == 200
    records = guest.tenant.audit("user", guest.user)
    (change,) = (one["detail"] for one in records if one["event"] == "member.updated")
    assert (change["previous_role"], change["role"]) == ("operator", "project_admin")
