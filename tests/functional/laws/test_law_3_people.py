"""Law 3 for people and keys: whatever was ended is refused at the very next request.

A user, a session, a personal token, an organization key, a membership, a role: each is ended by
its own route, and then by threads that go on calling while it ends.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from chalicelib.api.access import ROUTES
from chalicelib.credentials import organization_key
from chalicelib.credentials import person as credentials
from chalicelib.credentials.opaque import OpaqueFamily
from chalicelib.errors import DomainError
from chalicelib.flows import authorization, identification
from chalicelib.flows.authorization import Wanted
from chalicelib.flows.identification import Family
from chalicelib.flows.targets import Target
from tests.functional.api import Answer, Tenant
from tests.functional.laws.faults import interleaved
from tests.functional.laws.request_counter import counted
from tests.functional.people import Person, open_session, person, personal_token

THREADS, AFTER = 20, 60
_WAY_SECONDS = 0.02
_FAMILIES: dict[str, tuple[Family, OpaqueFamily]] = {
    "rcs_": ("session", credentials.SESSION),
    "rcp_": ("personal_token", credentials.PERSONAL_TOKEN),
    "rco_": ("organization_key", organization_key.FAMILY),
}
_SCOPES = {"organization:read", "agents:read"}


@dataclass
class Power:
    """A credential that may do something, and how that is ended.

    Args:
        raw: the credential.
        end: ends it, as somebody who may.
        refusal: what the next request is told.
        request: what the credential may do: a route of the table, by which it is tried.
    """

    raw: str = field(repr=False)
    end: Callable[[], Answer]
    refusal: tuple[int, str]
    request: tuple[str, str] = ("GET", "/projects/{project_id}/members")


def removed(tenant: Tenant, admin: Person) -> Power:
    member = person(tenant, "operator")
    return Power(
        member.session,
        lambda: admin.call("DELETE", f"/members/{member.user}"),
        (401, "membership_ended"),
    )


def removed_with_a_token(tenant: Tenant, admin: Person) -> Power:
    member = person(tenant, "operator")
    raw, _ = personal_token(tenant, member.user, _SCOPES)
    return Power(
        raw, lambda: admin.call("DELETE", f"/members/{member.user}"), (401, "membership_ended")
    )


def disabled(tenant: Tenant, admin: Person) -> Power:
    member = person(tenant, "operator")
    return Power(
        member.session,
        lambda: admin.call("POST", f"/members/{member.user}/disable"),
        (401, "user_disabled"),
    )


def disabled_with_a_token(tenant: Tenant, admin: Person) -> Power:
    member = person(tenant, "operator")
    raw, _ = personal_token(tenant, member.user, _SCOPES)
    return Power(
        raw, lambda: admin.call("POST", f"/members/{member.user}/disable"), (401, "user_disabled")
    )


def demoted(tenant: Tenant, admin: Person) -> Power:
    member = person(tenant, "org_admin")
    return Power(
        member.session,
        lambda: admin.call("PATCH", f"/members/{member.user}", {"role": "viewer"}),
        (403, "permission_missing"),
        ("GET", "/organization-keys"),
    )


def without_a_role_in_the_project(tenant: Tenant, admin: Person) -> Power:
    member = person(tenant, None, projects={tenant.project: "viewer"})
    path = f"/projects/{tenant.project}/members/{member.user}"
    return Power(member.session, lambda: admin.call("DELETE", path), (404, "project_not_found"))


def session_ended(tenant: Tenant, admin: Person) -> Power:
    assert admin.tenant is tenant
    member = person(tenant, "operator")
    raw, session = open_session(tenant, member.user)
    return Power(
        raw,
        lambda: member.call("DELETE", f"/me/sessions/{session}"),
        (401, "credential_revoked"),
    )


def personal_token_ended(tenant: Tenant, admin: Person) -> Power:
    assert admin.tenant is tenant
    member = person(tenant, "operator")
    raw, token = personal_token(tenant, member.user, _SCOPES)
    return Power(
        raw, lambda: member.call("DELETE", f"/me/tokens/{token}"), (401, "credential_revoked")
    )


def _key(admin: Person) -> tuple[str, str]:
    body = {"name": "ci", "scopes": sorted(_SCOPES)}
    made = admin.call("POST", "/organization-keys", body)
    assert made.status == 201, made.body
    return made.body["organization_key"], f"/organization-keys/{made.body['organization_key_id']}"


def key_revoked(tenant: Tenant, admin: Person) -> Power:
    assert admin.tenant is tenant
    raw, path = _key(admin)
    return Power(
        raw, lambda: admin.call("DELETE", path), (401, "credential_revoked"), ("GET", "/agents")
    )


def key_rotated_without_an_overlap(tenant: Tenant, admin: Person) -> Power:
    assert admin.tenant is tenant
    raw, path = _key(admin)
    return Power(
        raw,
        lambda: admin.call("POST", f"{path}/rotate", {"overlap_seconds": 0}),
        (401, "credential_invalid"),
        ("GET", "/agents"),
    )


POWERS: list[Any] = [
    pytest.param(make, id=make.__name__)
    for make in (
        removed,
        removed_with_a_token,
        disabled,
        disabled_with_a_token,
        demoted,
        without_a_role_in_the_project,
        session_ended,
        personal_token_ended,
        key_revoked,
        key_rotated_without_an_overlap,
    )
]


@pytest.fixture
def admin(tenant: Tenant) -> Person:
    return person(tenant, "org_admin")


def call(tenant: Tenant, power: Power) -> Answer:
    """One request with the credential, over the whole way in."""
    method, path = power.request
    concrete = path.replace("{project_id}", tenant.project)
    return tenant.api.call(method, f"/api/v1{concrete}", credential=power.raw)


@pytest.mark.parametrize("make", POWERS)
def test_the_very_next_request_is_refused(
    tenant: Tenant, admin: Person, make: Callable[[Tenant, Person], Power]
) -> None:
    power = make(tenant, admin)
    assert call(tenant, power).status == 200
    ended = power.end()
    assert ended.status == 200, ended.body
    for _ in range(3):
        with counted() as requests:
            answer = call(tenant, power)
        assert (answer.status, answer.code) == power.refusal
        assert requests.operations[0] == "BatchGetItem"
        assert not any(sent.eventually_consistent for sent in requests.sent)


@pytest.mark.parametrize("make", POWERS)
def test_a_request_that_began_before_is_refused_if_it_reads_after(
    tenant: Tenant, admin: Person, make: Callable[[Tenant, Person], Power]
) -> None:
    power = make(tenant, admin)
    assert call(tenant, power).status == 200
    with interleaved(power.end, on="BatchGetItem") as ended:
        answer = call(tenant, power)
    assert ended[0].status == 200
    assert (answer.status, answer.code) == power.refusal


class Callers:
    """Threads that are authorized again and again, as the guard does it for a route.

    The app of these tests serves one request at a time; on a deployed stage the whole way in is
    taken by many (tests/e2e/stack).
    """

    def __init__(self, tenant: Tenant, power: Power) -> None:
        method, path = power.request
        access = ROUTES[f"{method} /api/v1{path}"]
        target = Target("project", tenant.project) if access.place else None
        if access.place is not None and access.place.kind != "project":
            target = None
        self._wanted = Wanted(access.permission, access.scope, target, access.anywhere)
        self._family, family = _FAMILIES[power.raw[:4]]
        self._claims = family.read(power.raw).claims  # type: ignore[union-attr]
        self._now = tenant.api.clock.now
        self._done = threading.Event()
        self.outcomes: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(THREADS)
        self._calling = [self._pool.submit(self._call) for _ in range(THREADS)]
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._pool.shutdown()
        for one in self._calling:
            one.result()

    def _call(self) -> None:
        while not self._done.is_set():
            begun = time.monotonic()
            try:
                found = identification.identify(
                    self._family, self._claims, self._wanted.target, self._now
                )
                authorization.check(found, self._wanted)
            except DomainError as error:
                outcome = error.code
            else:
                outcome = "accepted"
            self.outcomes.append((begun, outcome))
            # Without a way between caller and app, 20 threads would leave no turn to the one that
            # ends the credential: each request would be counted long before anything ends.
            self._done.wait(_WAY_SECONDS)

    def wait_for(self, enough: Callable[[], bool]) -> None:
        """Wait until the threads have come so far."""
        ends = time.monotonic() + 60
        while not enough():
            assert time.monotonic() < ends, self.outcomes[-5:]
            time.sleep(0.002)


@pytest.mark.parametrize("make", POWERS)
def test_of_twenty_who_call_meanwhile_none_is_accepted_after_the_answer(
    tenant: Tenant, admin: Person, make: Callable[[Tenant, Person], Power]
) -> None:
    power = make(tenant, admin)
    with Callers(tenant, power) as callers:
        callers.wait_for(lambda: len(callers.outcomes) > THREADS)
        ended = power.end()
        answered = time.monotonic()
        assert ended.status == 200, ended.body
        callers.wait_for(lambda: sum(at > answered for at, _ in callers.outcomes) > AFTER)
    before = {outcome for at, outcome in callers.outcomes if at < answered}
    after = {outcome for at, outcome in callers.outcomes if at > answered}
    assert "accepted" in before
    assert after == {power.refusal[1]}
