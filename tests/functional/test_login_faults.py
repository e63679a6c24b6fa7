"""Writes about people whose answers are lost, or that meet others: never half, never twice."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.store.people import PersonItem
from tests.functional.api import Answer, Api, Tenant
from tests.functional.canaries import MARK
from tests.functional.laws.faults import (
    ALWAYS,
    CONFLICT,
    DROPPED,
    IN_PROGRESS,
    LOST,
    Fault,
    injected,
)
from tests.functional.logins import Account, account, attempt, call, forget_attempts, session_of
from tests.functional.people import join

Act = Callable[[Tenant, Tenant, Account, str], Answer]
ONCE = (LOST, DROPPED, CONFLICT, IN_PROGRESS)
NEW = f"{MARK} of a new kind"


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> Act:
    return lambda tenant, _, __, session: call(tenant, session, method, path, body)


def _switch(tenant: Tenant, other: Tenant, _: Account, session: str) -> Answer:
    return call(tenant, session, "POST", "/auth/switch", {"organization": other.organization})


def _change(tenant: Tenant, _: Tenant, who: Account, session: str) -> Answer:
    body = {"current_password": who.password, "new_password": NEW}
    return call(tenant, session, "POST", "/me/password", body)


ACTS: dict[str, tuple[Act, str]] = {
    "log out": (_call("POST", "/auth/logout"), "user.logged_out"),
    "switch": (_switch, "user.logged_out"),
    "log out everywhere": (_call("POST", "/me/sessions/revoke", {}), "user.logged_out"),
    "log out elsewhere": (
        _call("POST", "/me/sessions/revoke", {"keep_current": True}),
        "user.logged_out",
    ),
    "change the password": (_change, "user.password_changed"),
    "change the name": (_call("PATCH", "/me", {"display_name": "Ada"}), "user.updated"),
    "make a token": (
        _call("POST", "/me/tokens", {"name": "x", "scopes": ["agents:read"], "ttl_seconds": 60}),
        "personal_token.created",
    ),
}


def _told(tenant: Tenant, event: str) -> int:
    records = tenant.call("GET", "/audit-records?limit=100").body["audit_records"]
    return [one["event"] for one in records].count(event)


@pytest.mark.parametrize("fault", ONCE, ids=str)
@pytest.mark.parametrize(("act", "event"), ACTS.values(), ids=ACTS.keys())
def test_a_change_that_meets_trouble_once_happens_once(
    tenant: Tenant, other_tenant: Tenant, act: Act, event: str, fault: Fault
) -> None:
    who = account(tenant)
    join(other_tenant, who.user, who.username, "viewer")
    session = session_of(who)
    assert call(tenant, session, "GET", "/me").status == 200
    with injected(fault, on="TransactWriteItems") as met:
        answer = act(tenant, other_tenant, who, session)
    assert met.seen
    assert answer.status in {200, 201}, answer.body
    assert _told(tenant, event) == 1
    if "token" in answer.body:
        assert call(tenant, answer.body["token"], "GET", "/me").status == 200
    if "session" in answer.body:
        assert call(other_tenant, answer.body["session"], "GET", "/me").status == 200
    if event == "user.password_changed":
        assert call(tenant, session, "GET", "/me").status == 200
        assert attempt(who.username, NEW).status == 200


@pytest.mark.parametrize("fault", ONCE, ids=str)
def test_a_login_that_meets_trouble_once_opens_one_session(tenant: Tenant, fault: Fault) -> None:
    who = account(tenant)
    with injected(fault, on="TransactWriteItems"):
        session = session_of(who)
    assert call(tenant, session, "GET", "/me").status == 200
    assert len(list(PersonItem.query(who.user, PersonItem.item.startswith("session#")))) == 1
    assert _told(tenant, "user.logged_in") == 1


@pytest.mark.parametrize("fault", [LOST, DROPPED, CONFLICT], ids=str)
def test_a_write_that_is_never_answered_is_our_fault_and_no_verdict(
    tenant: Tenant, fault: Fault
) -> None:
    who = account(tenant)
    session = session_of(who)
    with injected(fault, times=ALWAYS, on="TransactWriteItems"):
        assert call(tenant, session, "POST", "/auth/logout").status == 503
        assert attempt(who.username).status == 503
