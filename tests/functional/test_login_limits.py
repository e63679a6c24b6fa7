"""How often somebody may try: for a name, from a source, and in all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.errors import DomainError, Unavailable
from chalicelib.flows import login as login_flow
from chalicelib.flows import login_guard
from chalicelib.flows.login import LoginRequest
from chalicelib.flows.sessions import Visit
from chalicelib.store import audit_records, login_attempts
from chalicelib.store.login_attempts import Locked, Moved, Outcome, Reserved
from tests.functional.api import Api, Tenant
from tests.functional.canaries import MARK
from tests.functional.database_requests import database_requests
from tests.functional.gateway import RawAnswer, problem
from tests.functional.logins import account, attempt, counting, forget_attempts
from tests.functional.one_at_a_time import one_at_a_time

WRONG = f"{MARK} wrong"
FREE, FREE_OF_SOURCE = login_guard.OF_NAME.free, login_guard.OF_SOURCE.free
HOME, AWAY = "192.0.2.7", "198.51.100.9"


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def guess(username: str, source: str = AWAY, password: str = WRONG) -> RawAnswer:
    return attempt(username, password, source=source)


def lock(username: str, source: str = AWAY) -> RawAnswer:
    """Guess until it is refused."""
    for _ in range(FREE):
        problem(guess(username, source), 401, "login_failed")
    answer = guess(username, source)
    problem(answer, 429, "login_locked")
    return answer


def waits(answer: RawAnswer) -> int:
    return int(answer.headers["retry-after"])


Name = Callable[[Tenant], str]
NAMES: dict[str, Name] = {
    "somebody's": lambda tenant: account(tenant).username,
    "nobody's": lambda _: "nobody-at-all",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_a_name_is_locked_after_some_failures_whether_it_is_anybodys_or_not(
    tenant: Tenant, name: Name
) -> None:
    username = name(tenant)
    hasher = counting()
    answer = lock(username)
    assert waits(answer) == 30
    assert len(hasher.verified) == FREE
    with database_requests() as seen:
        again = guess(username, "203.0.113.1")
    problem(again, 429, "login_locked")
    assert len(hasher.verified) == FREE
    assert seen == ["UpdateItem"] * 4


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES.keys())
def test_the_lock_grows_with_each_guess_up_to_a_quarter_of_an_hour(
    tenant: Tenant, name: Name
) -> None:
    username = name(tenant)
    found = [waits(lock(username))]
    for _ in range(7):
        tenant.api.clock.advance(seconds=found[-1])
        problem(guess(username), 401, "login_failed")
        found.append(waits(guess(username)))
    assert found == [30, 60, 120, 240, 480, 900, 900, 900]


def test_even_the_right_password_waits_while_the_name_is_locked(tenant: Tenant) -> None:
    who = account(tenant)
    wait = waits(lock(who.username))
    problem(guess(who.username, AWAY, who.password), 429, "login_locked")
    tenant.api.clock.advance(seconds=wait - 0.001)
    problem(guess(who.username, AWAY, who.password), 429, "login_locked")
    tenant.api.clock.advance(seconds=0.001)
    assert guess(who.username, AWAY, who.password).status == 200


def test_a_success_clears_the_name(tenant: Tenant) -> None:
    who = account(tenant)
    for _ in range(3):
        for _ in range(FREE - 1):
            assert guess(who.username, AWAY).status == 401
        assert guess(who.username, AWAY, who.password).status == 200
        tenant.api.clock.advance(seconds=1)
    assert waits(lock(who.username, "203.0.113.1")) == 30


def test_failures_are_forgotten_after_an_hour_without_one(tenant: Tenant) -> None:
    who = account(tenant)
    for _ in range(FREE - 1):
        assert guess(who.username).status == 401
    tenant.api.clock.advance(hours=1)
    lock(who.username)


def test_guessing_elsewhere_does_not_lock_a_person_out_where_they_log_in(tenant: Tenant) -> None:
    who = account(tenant)
    assert guess(who.username, HOME, who.password).status == 200
    lock(who.username, AWAY)
    problem(guess(who.username, "203.0.113.1", who.password), 429, "login_locked")
    assert guess(who.username, HOME, who.password).status == 200
    # Nor does the success there open it for whoever guesses.
    problem(guess(who.username, AWAY), 429, "login_locked")


def test_where_a_person_logs_in_the_name_is_locked_on_its_own(tenant: Tenant) -> None:
    who = account(tenant)
    assert guess(who.username, HOME, who.password).status == 200
    assert waits(lock(who.username, HOME)) == 30
    assert guess(who.username, AWAY, who.password).status == 200


def test_a_place_is_forgotten_after_a_month(tenant: Tenant) -> None:
    who = account(tenant)
    assert guess(who.username, HOME, who.password).status == 200
    tenant.api.clock.advance(days=30)
    lock(who.username, AWAY)
    problem(guess(who.username, HOME, who.password), 429, "login_locked")


def test_a_source_is_locked_after_failures_with_many_names(tenant: Tenant) -> None:
    for number in range(FREE_OF_SOURCE):
        if number % login_guard.MOST_IN_A_SLICE == 0:
            tenant.api.clock.advance(seconds=1)
        assert guess(f"name-{number}").status == 401
    answer = guess("another")
    problem(answer, 429, "login_locked")
    assert waits(answer) == 30
    assert guess("another", HOME).status == 401


def test_successes_do_not_lock_a_source(tenant: Tenant) -> None:
    who = account(tenant)
    for number in range(FREE_OF_SOURCE + 2):
        if number % login_guard.MOST_IN_A_SLICE == 0:
            tenant.api.clock.advance(seconds=1)
        assert guess(who.username, HOME, who.password).status == 200


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("x" * 500, "x" * 64),
    ],
)
def test_a_source_is_what_one_host_can_choose_from(address: str | None, source: str) -> None:
    assert login_guard.source_of(address) == source


def test_no_more_passwords_are_hashed_in_a_moment_than_leave_room_for_heartbeats(
    tenant: Tenant,
) -> None:
    hasher = counting()
    answers = [
        attempt(f"name-{number}", WRONG, source=f"192.0.2.{number}")
        for number in range(login_guard.MOST_IN_A_SLICE + 5)
    ]
    assert [answer.status for answer in answers].count(401) == login_guard.MOST_IN_A_SLICE
    for answer in answers[login_guard.MOST_IN_A_SLICE :]:
        problem(answer, 429, "login_busy")
        assert waits(answer) == 1
    assert len(hasher.verified) == login_guard.MOST_IN_A_SLICE
    tenant.api.clock.advance(seconds=1)
    assert attempt("name-0", WRONG).status == 401


def test_who_met_a_busy_moment_has_not_failed(tenant: Tenant) -> None:
    who = account(tenant)
    for number in range(login_guard.MOST_IN_A_SLICE):
        assert attempt(f"name-{number}", WRONG, source=f"192.0.2.{number}").status == 401
    for _ in range(FREE + FREE_OF_SOURCE):
        problem(guess(who.username), 429, "login_busy")
    tenant.api.clock.advance(seconds=1)
    assert guess(who.username, AWAY, who.password).status == 200


def at_once(tenant: Tenant, count: int, username: Callable[[int], str], source: str) -> list[str]:
    """Logins of many threads; what became of each."""
    now = runtime.current()

    def one(number: int) -> str:
        visit = Visit(f"r-{number}", source, None, tenant.api.clock.now)
        wanted = LoginRequest(username=username(number), password=WRONG)
        try:
            login_flow.log_in(now.patience, now.passwords, visit, wanted)
        except DomainError as error:
            return error.code
        return "in"

    with one_at_a_time(), ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, range(count)))


def test_guesses_at_once_are_no_more_than_one_after_the_other(tenant: Tenant) -> None:
    who = account(tenant)
    hasher = counting()
    found = at_once(tenant, 50, lambda _: who.username, AWAY)
    assert len(hasher.verified) == FREE
    assert found.count("login_failed") == FREE
    assert set(found) == {"login_failed", "login_locked", "login_busy"}


def test_when_a_lock_is_over_one_of_many_at_once_may_guess(tenant: Tenant) -> None:
    who = account(tenant)
    tenant.api.clock.advance(seconds=waits(lock(who.username)))
    hasher = counting()
    found = at_once(tenant, 20, lambda _: who.username, AWAY)
    assert len(hasher.verified) == 1
    assert found.count("login_failed") == 1
    assert found.count("login_locked") == 19


def test_whoever_comes_between_takes_the_one_guess_that_is_free(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = login_attempts.Limit(free=1)
    now = tenant.api.clock.now
    assert login_attempts.reserve("login#name#x", limit, now) == Reserved()
    written = login_attempts._write
    came: list[Outcome] = []

    def another_first(pk: str, update: str, condition: str, values: dict[str, int]) -> Any:
        if update.startswith(login_attempts._TAKE) and not came:
            came.append(Moved())
            came.append(login_attempts.reserve("login#name#x", limit, now + 30_000))
        return written(pk, update, condition, values)

    monkeypatch.setattr(login_attempts, "_write", another_first)
    assert login_attempts.reserve("login#name#x", limit, now + 30_000) == Moved()
    assert came[1:] == [Reserved()]
    assert login_attempts.reserve("login#name#x", limit, now + 30_000) == Locked(60_000)


def test_names_at_once_are_no_more_than_the_moment_has_room_for(tenant: Tenant) -> None:
    hasher = counting()
    found = at_once(tenant, FREE_OF_SOURCE, lambda number: f"name-{number}", AWAY)
    assert len(hasher.verified) == login_guard.MOST_IN_A_SLICE
    assert found.count("login_busy") == FREE_OF_SOURCE - login_guard.MOST_IN_A_SLICE


def test_a_failure_that_cannot_be_recorded_is_refused_the_same(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(*_: object) -> bool:
        raise Unavailable("no answer")

    monkeypatch.setattr(audit_records, "put_once", unavailable)
    problem(guess(account(tenant).username), 401, "login_failed")
