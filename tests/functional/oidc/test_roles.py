"""Which role a login gives: that of the groups, at every login anew."""

import itertools

import pytest

from chalicelib import runtime
from chalicelib.evidence.record import Origin
from chalicelib.flows import members
from chalicelib.flows.contention import Patience
from chalicelib.store import identity_providers, organizations, people
from chalicelib.store.people import PersonItem
from tests.functional.api import Api
from tests.functional.clock import FrozenClock
from tests.functional.oidc.provider import Provider
from tests.functional.oidc.sign_on import ROLES, Browser, Organization, Visitor

_numbers = itertools.count(1)


def somebody(idp: Provider, *groups: str) -> str:
    return idp.account(f"member-{next(_numbers)}", groups=list(groups))


def role_of(visitor: Visitor) -> str | None:
    row = members.get(visitor.tenant.organization, visitor.user).row
    return row.role


def admins(organization: Organization) -> int:
    row = organizations.find(organization.id, "organization")
    assert row is not None
    return int(row.admins or 0)


@pytest.mark.parametrize(("group", "role"), ROLES.items())
def test_a_group_gives_its_role(
    organization: Organization, idp: Provider, group: str, role: str
) -> None:
    visitor = organization.session(somebody(idp, "unmapped", group))
    assert role_of(visitor) == role
    allowed = visitor.call("GET", organization.path).status == 200
    assert allowed == (role == "org_admin")


def test_of_several_groups_the_greatest_role_counts(
    organization: Organization, idp: Provider
) -> None:
    assert role_of(organization.session(somebody(idp, "all", "leads", "ops"))) == "project_admin"


@pytest.mark.parametrize("groups", [[], ["unmapped"], "unmapped", None, 7, [7, None], {"ops": 1}])
def test_without_a_mapped_group_nobody_is_let_in_and_nothing_is_made(
    organization: Organization, idp: Provider, groups: object
) -> None:
    before = _people()
    browser = Browser()
    answer = organization.log_in(idp.account("nobody", groups=groups), browser)
    assert (answer.status, answer.code) == (403, "no_role_mapped")
    assert "__Host-rollcall_session" not in browser.cookies
    assert _people() == before


def _people() -> int:
    return sum(1 for _ in PersonItem.scan(~PersonItem.pk.startswith("login#")))


def test_one_group_may_be_said_without_a_list(organization: Organization, idp: Provider) -> None:
    visitor = organization.session(idp.account("single", groups="ops"))
    assert role_of(visitor) == "operator"


def test_another_claim_may_hold_the_groups(organization: Organization, idp: Provider) -> None:
    organization.configure(groups_claim="preferred_username", group_roles={"ops": "operator"})
    answer = organization.log_in(idp.account("elsewhere", groups=["ops"]))
    assert answer.code == "no_role_mapped"
    visitor = organization.session(idp.account("elsewhere", preferred_username="ops"))
    assert role_of(visitor) == "operator"


def test_other_groups_give_another_role_at_the_next_login_and_to_older_sessions(
    organization: Organization, idp: Provider, clock: FrozenClock
) -> None:
    subject = somebody(idp, "admins")
    first = organization.session(subject)
    assert first.call("GET", organization.path).status == 200
    assert admins(organization) == 2
    clock.advance(seconds=1)
    idp.account(subject, groups=["all"])
    second = organization.session(subject)
    assert (role_of(second), admins(organization)) == ("viewer", 1)
    for visitor in (first, second):
        assert visitor.call("GET", organization.path).code == "permission_missing"
    clock.advance(seconds=1)
    idp.account(subject, groups=["admins"])
    organization.session(subject)
    assert admins(organization) == 2
    assert first.call("GET", organization.path).status == 200
    changes = [
        (record["detail"]["previous_role"], record["detail"]["role"], record["actor"]["type"])
        for record in organization.tenant.audit("user", first.user)
        if record["event"] == "member.updated"
    ]
    assert changes == [("org_admin", "viewer", "system"), ("viewer", "org_admin", "system")]


def test_a_role_that_is_mapped_away_ends_the_membership_at_once(
    organization: Organization, idp: Provider
) -> None:
    subject = somebody(idp, "ops")
    visitor = organization.session(subject)
    assert visitor.call("GET", "/agents").status == 200
    idp.account(subject, groups=[])
    assert organization.log_in(subject).code == "no_role_mapped"
    answer = visitor.call("GET", "/agents")
    assert (answer.status, answer.code) == (401, "membership_ended")
    records = organization.tenant.audit("user", visitor.user)
    assert [record["event"] for record in records].count("member.removed") == 1
    (refused,) = (one for one in records if one["outcome"] == "refused")
    assert (refused["event"], refused["reason"]) == ("user.login_failed", "no_role_mapped")
    # And comes back with the groups, as the same person.
    idp.account(subject, groups=["all"])
    again = organization.session(subject)
    assert (again.user, role_of(again)) == (visitor.user, "viewer")


def test_a_mapping_that_was_changed_counts_at_the_next_login(
    organization: Organization, idp: Provider
) -> None:
    subject = somebody(idp, "ops")
    visitor = organization.session(subject)
    organization.configure(group_roles={"ops": "viewer"})
    assert role_of(visitor) == "operator"
    assert role_of(organization.session(subject)) == "viewer"


@pytest.mark.parametrize("groups", [["all"], []])
def test_groups_cannot_take_the_last_org_admin_away(
    organization: Organization, idp: Provider, groups: list[str]
) -> None:
    subject = somebody(idp, "admins")
    visitor = organization.session(subject)
    members.remove(*_as_system(organization), organization.admin.user)
    assert admins(organization) == 1
    idp.account(subject, groups=groups)
    answer = organization.log_in(subject)
    assert (answer.status, answer.code) == (409, "last_org_admin")
    assert (role_of(visitor), admins(organization)) == ("org_admin", 1)
    assert visitor.call("GET", organization.path).status == 200


def _as_system(organization: Organization) -> tuple[Patience, Origin]:
    now = runtime.current()
    return now.patience, Origin(organization.id, "system", "test", "test", None, now.clock())


def test_a_disabled_person_is_not_let_in(organization: Organization, idp: Provider) -> None:
    subject = somebody(idp, "ops")
    visitor = organization.session(subject)
    PersonItem(visitor.user, people.USER).update(actions=[PersonItem.status.set(people.DISABLED)])
    answer = organization.log_in(subject)
    assert (answer.status, answer.code) == (403, "user_disabled")
    refused = [
        record["reason"]
        for record in organization.tenant.audit("user", visitor.user)
        if record["outcome"] == "refused"
    ]
    assert "user_disabled" in refused


def test_a_person_who_logs_in_in_one_organization_has_no_power_in_another(
    organization: Organization, idp: Provider, sign_on: Api
) -> None:
    other = sign_on.new_tenant()
    visitor = organization.session(somebody(idp, "admins"))
    answer = visitor.call("GET", f"/organizations/{other.organization}/identity-provider")
    assert (answer.status, answer.code) == (404, "organization_not_found")


def test_two_first_logins_at_once_make_one_person(
    organization: Organization, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = somebody(idp, "ops")
    real = identity_providers.find_person
    overtaken: list[Visitor] = []

    def slow(*identity: str) -> str | None:
        found = real(*identity)
        if not overtaken:
            monkeypatch.setattr(identity_providers, "find_person", real)
            overtaken.append(organization.session(subject))
        return found

    monkeypatch.setattr(identity_providers, "find_person", slow)
    later = organization.session(subject)
    assert later.user == overtaken[0].user
    assert role_of(later) == "operator"
