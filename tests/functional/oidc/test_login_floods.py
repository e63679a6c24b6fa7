"""How often providers are asked for strangers: once for a login, and so many times a second."""

from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.federation.directory import Directory
from chalicelib.federation.failures import ProviderError
from chalicelib.federation.fetch import Fetched, Fetcher, Place
from chalicelib.flows import login_guard
from chalicelib.store import login_attempts
from chalicelib.store.people import PersonItem
from chalicelib.store.transaction import Cancelled, Transaction
from tests.functional.api import Answer, Api
from tests.functional.clock import FrozenClock
from tests.functional.oidc.provider import Provider
from tests.functional.oidc.sign_on import BEGIN, LOGIN_COOKIE, Browser, Organization

MOST, FREE_OF_SOURCE = login_guard.MOST_IN_A_SLICE, login_guard.OF_SOURCE.free


class Counting(Fetcher):
    """Counts what goes out."""

    def __init__(self, loopback_ca: str | None) -> None:
        super().__init__(loopback_ca)
        self.asked: list[str] = []

    def get(self, where: Place) -> Fetched:
        self.asked.append(where.target)
        return super().get(where)

    def post(self, where: Place, form: str, headers: dict[str, str]) -> Fetched:
        self.asked.append("POST")
        return super().post(where, form, headers)

    @property
    def posted(self) -> int:
        return self.asked.count("POST")


@pytest.fixture
def outgoing(sign_on: Api, clock: FrozenClock) -> Counting:
    assert sign_on
    now = runtime.current()
    made = Counting(now.settings.oidc_loopback_ca)
    now.providers = Directory(made, clock)
    return made


def begun(organization: Organization, idp: Provider, browser: Browser) -> dict[str, str]:
    """A login under way, with a code that nobody made."""
    url = browser.begin(organization.id)
    state = url.partition("state=")[2].partition("&")[0]
    return {"state": state, "code": "junk", "iss": idp.issuer}


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code)
    assert status != 429 or int(answer.headers["retry-after"]) >= 1


def test_one_cookie_sends_one_request_out_however_often_it_comes_back(
    organization: Organization, idp: Provider, outgoing: Counting
) -> None:
    browser = Browser()
    back = begun(organization, idp, browser)
    refused(browser.come_back(**back), 401, "login_failed")
    for number in range(FREE_OF_SOURCE - MOST):
        again = browser.come_back(**{**back, "code": f"junk-{number}"})
        refused(again, 401, "login_state_invalid")
    assert LOGIN_COOKIE in browser.cookies
    assert outgoing.posted == 1


def test_a_source_that_fails_too_often_has_to_wait_and_is_counted_by_itself(
    organization: Organization, idp: Provider, outgoing: Counting, clock: FrozenClock
) -> None:
    subject = idp.account("flooding", groups=["ops"])
    for _ in range(FREE_OF_SOURCE):
        browser = Browser()
        refused(browser.come_back(**begun(organization, idp, browser)), 401, "login_failed")
        clock.advance(seconds=0.1)
    locked, elsewhere = Browser(), Browser(source="198.51.100.9")
    back = idp.log_in(locked.begin(organization.id), subject)
    answer = locked.come_back(**back)
    refused(answer, 429, "login_locked")
    assert outgoing.posted == FREE_OF_SOURCE
    assert organization.log_in(subject, elsewhere).status == 200
    # Logins by password have a count of their own.
    body = {"username": "nobody", "password": "canary of a guess"}
    guess = organization.tenant.api.call("POST", "/api/v1/auth/login", body)
    refused(guess, 401, "login_failed")
    # What was refused so is not spent.
    clock.advance(seconds=int(answer.headers["retry-after"]))
    assert locked.come_back(**back).status == 200


def test_who_is_let_in_has_not_failed(
    organization: Organization, idp: Provider, clock: FrozenClock
) -> None:
    subject = idp.account("often", groups=["ops"])
    for _ in range(FREE_OF_SOURCE + 2):
        assert organization.log_in(subject).status == 200
        clock.advance(seconds=0.1)


def test_no_more_is_asked_in_a_moment_than_leaves_room_for_heartbeats(
    organization: Organization, idp: Provider, outgoing: Counting, clock: FrozenClock
) -> None:
    Browser().begin(organization.id)
    clock.advance(seconds=1)
    for number in range(MOST):
        browser = Browser(source=f"192.0.2.{number}")
        refused(browser.come_back(**begun(organization, idp, browser)), 401, "login_failed")
    late = Browser()
    back = idp.log_in(late.begin(organization.id), idp.account("late", groups=["ops"]))
    for _ in range(FREE_OF_SOURCE + 1):
        refused(late.come_back(**back), 429, "login_busy")
    assert outgoing.posted == MOST
    clock.advance(seconds=1)
    assert late.come_back(**back).status == 200


def test_beginning_counts_where_the_provider_has_to_be_asked(
    organization: Organization, outgoing: Counting, clock: FrozenClock
) -> None:
    for _ in range(MOST):
        assert login_attempts.spend(_budget(clock), 1, MOST, clock())
    refused(Browser().get(BEGIN, organization_id=organization.id), 429, "login_busy")
    assert outgoing.asked == []
    clock.advance(seconds=1)
    Browser().begin(organization.id)
    for _ in range(MOST):
        login_attempts.spend(_budget(clock), 1, MOST, clock())
    Browser().begin(organization.id)
    assert len(outgoing.asked) == 1


def _budget(clock: FrozenClock) -> str:
    return f"login#provider#budget#{clock() // login_guard.SLICE_MS}"


def test_a_provider_that_does_not_answer_locks_who_asks_for_it_again_and_again(
    organization: Organization,
    outgoing: Counting,
    clock: FrozenClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(*_: object) -> list[str]:
        raise ProviderError("name_not_found", "test")

    monkeypatch.setattr(outgoing, "_resolve", nothing)
    for _ in range(FREE_OF_SOURCE):
        answer = Browser().get(BEGIN, organization_id=organization.id)
        refused(answer, 503, "identity_provider_unavailable")
        clock.advance(seconds=11)
    refused(Browser().get(BEGIN, organization_id=organization.id), 429, "login_locked")
    assert len(outgoing.asked) == FREE_OF_SOURCE


def test_a_state_is_kept_as_a_hash_and_no_longer_than_it_can_be_used(
    organization: Organization, idp: Provider, clock: FrozenClock
) -> None:
    browser = Browser()
    back = begun(organization, idp, browser)
    browser.come_back(**back)
    (row,) = PersonItem.scan(PersonItem.pk.startswith("login#oidc#"))
    assert back["state"] not in repr(row.attribute_values)
    assert 600_000 <= row.ttl.timestamp() * 1000 - clock() <= 2 * 3_600_000


def test_somebody_elses_write_at_the_same_moment_does_not_take_the_state(
    organization: Organization, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Transaction.write
    rounds: list[object] = []

    def contended(self: Any) -> Any:
        rounds.append(self)
        return Cancelled() if len(rounds) == 1 else real(self)

    monkeypatch.setattr(Transaction, "write", contended)
    assert organization.log_in(idp.account("contended", groups=["ops"])).status == 200
    assert len(rounds) > 1
