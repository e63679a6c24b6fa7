"""Where a person logs in, others at the same address do not lock them out."""

import pytest

from chalicelib.flows import login_guard
from tests.functional.api import Api, Tenant
from tests.functional.gateway import problem
from tests.functional.logins import account, attempt, forget_attempts
from tests.functional.test_login_limits import FREE, FREE_OF_SOURCE, HOME, WRONG, guess


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def test_a_stale_script_does_not_lock_out_who_logs_in_at_the_same_address(tenant: Tenant) -> None:
    who, newcomer = account(tenant), account(tenant)
    assert guess(who.username, HOME, who.password).status == 200
    for _ in range(FREE_OF_SOURCE + 6):
        tenant.api.clock.advance(seconds=60)
        assert guess("cron-job", HOME).status in {401, 429}
    # Other names wait there: they may be guesses.
    for number in range(FREE_OF_SOURCE):
        tenant.api.clock.advance(seconds=1)
        guess(f"name-{number}", HOME)
    problem(guess(newcomer.username, HOME, newcomer.password), 429, "login_locked")
    assert guess(who.username, HOME, who.password).status == 200


def test_failures_where_a_person_logs_in_do_not_count_for_the_source(tenant: Tenant) -> None:
    who, newcomer = account(tenant), account(tenant)
    assert guess(who.username, HOME, who.password).status == 200
    for _ in range(FREE_OF_SOURCE):
        tenant.api.clock.advance(seconds=900)  # the longest wait
        assert guess(who.username, HOME).status == 401
    assert guess(newcomer.username, HOME, newcomer.password).status == 200


def test_who_met_a_busy_moment_where_they_log_in_has_not_failed(tenant: Tenant) -> None:
    who = account(tenant)
    assert guess(who.username, HOME, who.password).status == 200
    for number in range(login_guard.MOST_IN_A_SLICE - 1):
        assert attempt(f"name-{number}", WRONG, source=f"198.51.100.{number}").status == 401
    for _ in range(FREE + 1):
        problem(guess(who.username, HOME), 429, "login_busy")
    tenant.api.clock.advance(seconds=1)
    assert guess(who.username, HOME, who.password).status == 200
