"""Changing the password: with the old one, and with an end to every other session."""

import pytest

from chalicelib import runtime
from chalicelib.flows import login_guard
from chalicelib.store.people import PersonItem
from tests.functional.api import Answer, Api, Tenant
from tests.functional.canaries import MARK
from tests.functional.gateway import problem
from tests.functional.logins import (
    Meanwhile,
    account,
    attempt,
    call,
    counting,
    forget_attempts,
    hashed,
    session_of,
)

NEW = f"{MARK} of a new kind"


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def change(tenant: Tenant, session: str, current: str, new: str = NEW) -> Answer:
    body = {"current_password": current, "new_password": new}
    return call(tenant, session, "POST", "/me/password", body)


def test_only_the_new_password_is_good_and_only_this_session_goes_on(tenant: Tenant) -> None:
    who = account(tenant)
    mine, other = session_of(who), session_of(who)
    done = change(tenant, mine, who.password)
    assert done.status == 200
    assert call(tenant, mine, "GET", "/me").status == 200
    assert call(tenant, other, "GET", "/me").code == "credential_revoked"
    problem(attempt(who.username, who.password), 401, "login_failed")
    assert attempt(who.username, NEW).status == 200
    events = [one["event"] for one in tenant.audit("user", who.user)]
    assert events.count("user.password_changed") == 1


def test_without_the_old_password_nothing_changes(tenant: Tenant) -> None:
    who = account(tenant)
    session = session_of(who)
    refused = change(tenant, session, f"{MARK} wrong")
    assert (refused.status, refused.code) == (403, "password_wrong")
    assert attempt(who.username, who.password).status == 200


def test_a_stolen_session_is_no_way_to_guess_the_password(tenant: Tenant) -> None:
    who = account(tenant)
    session = session_of(who)
    hasher = counting()
    for _ in range(login_guard.OF_NAME.free):
        assert change(tenant, session, f"{MARK} wrong").code == "password_wrong"
    refused = change(tenant, session, who.password)
    assert (refused.status, refused.code) == (429, "login_locked")
    assert len(hasher.verified) == login_guard.OF_NAME.free


def test_two_passwords_are_hashed_and_count_as_two(tenant: Tenant) -> None:
    who = account(tenant)
    session = session_of(who)
    forget_attempts()
    for number in range(login_guard.MOST_IN_A_SLICE - 1):
        attempt(f"name-{number}", source=f"192.0.2.{number}")
    assert change(tenant, session, who.password).code == "login_busy"


def test_a_password_that_cannot_be_used_is_refused_before_anything_is_hashed(
    tenant: Tenant,
) -> None:
    who = account(tenant)
    session = session_of(who)
    hasher = counting()
    for bad in ("eleven char", "x" * 257, "with a\x00nul in it", "combining e\u0301"[:12]):
        refused = change(tenant, session, who.password, bad)
        assert (refused.status, refused.code) == (400, "validation_failed")
        assert refused.body["errors"][0]["path"] == "new_password"
    assert hasher.verified == []


def test_a_person_without_a_password_cannot_change_it(tenant: Tenant) -> None:
    who = account(tenant)
    session = session_of(who)
    PersonItem(who.user, "user").update([PersonItem.password_hash.remove()])
    refused = change(tenant, session, who.password)
    assert (refused.status, refused.code) == (409, "no_password")


def test_of_two_changes_at_once_the_second_is_refused(tenant: Tenant) -> None:
    who = account(tenant)
    session = session_of(who)
    other = hashed(f"{MARK} another")
    row = PersonItem(who.user, "user")
    runtime.current().passwords = Meanwhile(
        lambda: row.update([PersonItem.password_hash.set(other)])
    )
    assert change(tenant, session, who.password).code == "credential_revoked"
    assert PersonItem.get(who.user, "user").password_hash == other
