"""Law 3 on the deployed stage: people and keys that were ended, under load by many workers."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e.stack.calls import Calls, until

LOADING = 6
BEFORE, AFTER, ROUNDS = 30, 40, 5
PASSWORD = secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Somebody:
    """A person, logged in."""

    user: str
    username: str
    session: str = field(repr=False)
    session_id: str = ""


@dataclass(frozen=True)
class Power:
    """A credential, how it is ended, and what the next request is told."""

    raw: str = field(repr=False)
    end: Callable[[], httpx.Response]
    refusal: tuple[int, str]


def log_in(calls: Calls, username: str, password: str, organization: str | None = None) -> Somebody:
    """A session in the body, as a program asks for it."""
    body: dict[str, Any] = {"username": username, "password": password, "cookie": False}
    if organization is not None:
        body["organization"] = organization
    # Logins share one budget of the stage: other tests may be using it at this moment.
    answered: list[httpx.Response] = []

    def tried() -> bool:
        answered.append(calls.public("POST", "/auth/login", body))
        return answered[-1].status_code not in {429, 503}

    until(tried, "a login", pause=0.5)
    answer = answered[-1]
    assert answer.status_code in {200, 201}, answer.text
    said = answer.json()
    return Somebody(said["user_id"], username, said["session"], said["session_id"])


@pytest.fixture(scope="module")
def admin_session() -> list[Somebody]:
    """The org_admin's login, once it was needed: a password is slow on purpose."""
    return []


@pytest.fixture
def admin(calls: Calls, admin_session: list[Somebody]) -> Somebody:
    """The organization's first org_admin, logged in."""
    if not admin_session:
        stack = calls.stack
        admin_session.append(log_in(calls, stack.admin_username, stack.admin_password))
    return admin_session[0]


def somebody(calls: Calls, admin: Somebody, role: str = "operator") -> Somebody:
    """Somebody who was invited, accepted, and logged in."""
    invited = calls.send("POST", "/invitations", {"role": role}, credential=admin.session)
    assert invited.status_code == 201, invited.text
    username = f"somebody-{secrets.token_hex(6)}"
    body = {
        "invitation": invited.json()["invitation"],
        "username": username,
        "password": PASSWORD,
    }
    accepted = calls.public("POST", "/invitations/accept", body)
    assert accepted.status_code == 201, accepted.text
    again = calls.public("POST", "/invitations/accept", body)
    assert (again.status_code, again.json()["code"]) == (410, "invitation_used")
    return log_in(calls, username, PASSWORD)


def removed(calls: Calls, admin: Somebody) -> Power:
    member = somebody(calls, admin)
    path = f"/members/{member.user}"
    return Power(
        member.session,
        lambda: calls.send("DELETE", path, credential=admin.session),
        (401, "membership_ended"),
    )


def disabled(calls: Calls, admin: Somebody) -> Power:
    member = somebody(calls, admin)
    path = f"/members/{member.user}/disable"
    return Power(
        member.session,
        lambda: calls.send("POST", path, credential=admin.session),
        (401, "user_disabled"),
    )


def session_revoked(calls: Calls, admin: Somebody) -> Power:
    member = somebody(calls, admin)
    path = f"/me/sessions/{member.session_id}"
    return Power(
        member.session,
        lambda: calls.send("DELETE", path, credential=member.session),
        (401, "credential_revoked"),
    )


def key_revoked(calls: Calls, admin: Somebody) -> Power:
    body = {"name": "e2e", "scopes": ["agents:read"]}
    made = calls.send("POST", "/organization-keys", body, credential=admin.session)
    assert made.status_code == 201, made.text
    path = f"/organization-keys/{made.json()['organization_key_id']}"
    return Power(
        made.json()["organization_key"],
        lambda: calls.send("DELETE", path, credential=admin.session),
        (401, "credential_revoked"),
    )


@pytest.mark.parametrize("make", [removed, disabled, session_revoked, key_revoked])
def test_nothing_sent_after_the_answer_is_accepted(
    calls: Calls, admin: Somebody, make: Callable[[Calls, Somebody], Power]
) -> None:
    power = make(calls, admin)
    answers: list[tuple[float, tuple[int, str | None]]] = []
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            sent = time.monotonic()
            answer = calls.send("GET", "/agents?limit=1", credential=power.raw)
            answers.append((sent, (answer.status_code, answer.json().get("code"))))

    with ThreadPoolExecutor(LOADING) as pool:
        loading = [pool.submit(load) for _ in range(LOADING)]
        try:
            until(lambda: len(answers) > BEFORE, "requests are under way")
            ended = power.end()
            answered = time.monotonic()
            assert ended.status_code == 200, ended.text
            until(lambda: sum(sent > answered for sent, _ in answers) > AFTER, "more requests")
        finally:
            done.set()
        for one in loading:
            one.result()
    before = {what for sent, what in answers if sent < answered}
    after = {what for sent, what in answers if sent > answered}
    assert (200, None) in before
    assert after == {power.refusal}


def test_two_org_admins_who_demote_each_other_at_once_leave_one(
    calls: Calls, admin: Somebody
) -> None:
    made = calls.send(
        "POST", "/organizations", {"name": secrets.token_hex(8)}, credential=admin.session
    )
    assert made.status_code == 201, made.text
    organization = made.json()["organization_id"]
    stack = calls.stack
    first = log_in(calls, stack.admin_username, stack.admin_password, organization)
    second = somebody(calls, first, role="org_admin")
    for _ in range(ROUNDS):
        at_once = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            demoting = [
                pool.submit(demote, calls, by, user, at_once)
                for by, user in ((first, second.user), (second, first.user))
            ]
            outcomes = [one.result() for one in demoting]
        refusals = [code for status, code in outcomes if status != 200]
        assert len(refusals) == 1
        assert refusals[0] in {"last_org_admin", "permission_missing"}
        # Whoever demoted the other is the last one, and makes the other an org_admin again.
        last, other = (first, second) if outcomes[0][0] == 200 else (second, first)
        again = calls.send(
            "PATCH", f"/members/{other.user}", {"role": "org_admin"}, credential=last.session
        )
        assert again.status_code == 200, again.text


def demote(
    calls: Calls, by: Somebody, user: str, at_once: threading.Barrier
) -> tuple[int, str | None]:
    """Demote somebody, and say what came of it."""
    at_once.wait(10)
    answer = calls.send("PATCH", f"/members/{user}", {"role": "viewer"}, credential=by.session)
    return answer.status_code, answer.json().get("code")
