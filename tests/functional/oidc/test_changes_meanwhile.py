"""A provider or a mapping that is changed while a login is at the provider admits nobody."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib import runtime
from chalicelib.federation.directory import Directory
from chalicelib.federation.fetch import Fetcher
from chalicelib.flows import members, oidc_configuration
from chalicelib.store import identity_providers
from chalicelib.store.transaction import Cancelled, Transaction
from tests.functional.api import Answer
from tests.functional.oidc.provider import Provider
from tests.functional.oidc.sign_on import ROLES, SESSION_COOKIE, Browser, Organization

_numbers = itertools.count(1)
LESSER = {**ROLES, "admins": "viewer"}


class Meanwhile(Directory):
    """Lets something happen when the provider has vouched and nothing is written yet."""

    happens: Callable[[], object]

    def claims(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        found = super().claims(*arguments, **named)
        self.happens()
        return found


def log_in(organization: Organization, subject: str, happens: Callable[[], object]) -> Answer:
    """A login during which something happens."""
    now = runtime.current()
    meanwhile = Meanwhile(Fetcher(now.settings.oidc_loopback_ca), now.clock)
    meanwhile.happens = happens
    usual, now.providers = now.providers, meanwhile
    browser = Browser()
    answer = organization.log_in(subject, browser)
    now.providers = usual
    assert SESSION_COOKIE not in browser.cookies or answer.status == 200
    return answer


def removed(organization: Organization) -> None:
    assert organization.admin.call("DELETE", organization.path).status == 200


CHANGES: dict[str, Callable[[Organization], object]] = {
    "removed": removed,
    "disabled": lambda organization: organization.configure(status="disabled"),
    "another mapping": lambda organization: organization.configure(group_roles=LESSER),
    "another client": lambda organization: organization.configure(client_id="post"),
}


def newcomer(_: Organization, idp: Provider) -> str:
    return idp.account(f"meanwhile-{next(_numbers)}", groups=["admins"])


def known(organization: Organization, idp: Provider) -> str:
    subject = newcomer(organization, idp)
    organization.session(subject)
    return subject


def promoted(organization: Organization, idp: Provider) -> str:
    subject = idp.account(f"meanwhile-{next(_numbers)}", groups=["all"])
    organization.session(subject)
    return idp.account(subject, groups=["admins"])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@pytest.mark.parametrize("who", [newcomer, known, promoted], ids=lambda who: who.__name__)
def test_what_is_changed_while_a_login_is_under_way_counts_for_it(
    organization: Organization,
    idp: Provider,
    who: Callable[[Organization, Provider], str],
    change: Callable[[Organization], object],
) -> None:
    subject = who(organization, idp)
    before = _roles(organization)
    answer = log_in(organization, subject, lambda: change(organization))
    assert (answer.status, answer.code) == (401, "login_state_invalid")
    assert _roles(organization) == before


def _roles(organization: Organization) -> list[tuple[str, str | None]]:
    found = members.page(organization.id, after=None, limit=100).rows
    return [(str(member.row.user), member.row.role) for member in found]


def test_a_login_begun_anew_after_the_change_goes_by_it(
    organization: Organization, idp: Provider
) -> None:
    subject = newcomer(organization, idp)
    log_in(organization, subject, lambda: organization.configure(group_roles=LESSER))
    assert members.get(organization.id, organization.session(subject).user).row.role == "viewer"


def test_a_mapping_that_is_given_back_meanwhile_ends_no_membership(
    organization: Organization, idp: Provider
) -> None:
    subject = known(organization, idp)
    before = _roles(organization)
    organization.configure(group_roles={"others": "viewer"})
    answer = log_in(organization, subject, organization.configure)
    assert (answer.status, answer.code) == (401, "login_state_invalid")
    assert _roles(organization) == before


def test_two_changes_at_one_moment_are_told_apart(organization: Organization) -> None:
    times = [oidc_configuration.get(organization.id).changed_at]
    for _ in range(3):
        organization.configure()
        times.append(oidc_configuration.get(organization.id).changed_at)
    assert len(set(times)) == len(times)
    assert times == sorted(times)


def test_a_change_that_overtakes_another_is_not_overwritten_unseen(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[[Any], Cancelled | None] = Transaction.write
    overtaken: list[int] = []

    def late(self: Any) -> Cancelled | None:
        monkeypatch.setattr(Transaction, "write", real)
        organization.configure(group_roles=LESSER)
        found = identity_providers.find(organization.id)
        assert found is not None
        overtaken.append(found.changed_at)
        return real(self)

    monkeypatch.setattr(Transaction, "write", late)
    organization.configure()
    provider = oidc_configuration.get(organization.id)
    assert provider.group_roles == ROLES
    assert overtaken
    assert provider.changed_at > overtaken[0]
