"""The first organization, and the first person of it."""

import pytest

from chalicelib.errors import Conflict, Malformed
from chalicelib.flows.bootstrap import Bootstrapped, FirstAdmin, bootstrap
from chalicelib.store.organizations import OrganizationItem
from chalicelib.store.people import PersonItem
from tests.functional.api import Api
from tests.functional.canaries import MARK
from tests.functional.logins import Counting, attempt, forget_attempts

PASSWORD = f"{MARK} of the first admin"


@pytest.fixture(autouse=True)
def _no_attempts(api: Api) -> None:
    assert api
    forget_attempts()


def made(api: Api, username: str | None, password: str = PASSWORD) -> Bootstrapped:
    return bootstrap(
        organization_name="First",
        project_name="main",
        environment_name="main",
        heartbeat_interval=60,
        actor="arn:aws:sts::123456789012:assumed-role/deployer/me",
        now=api.clock.now,
        admin=FirstAdmin(username, password) if username is not None else None,
    )


def test_the_first_admin_logs_in_and_may_do_everything(api: Api) -> None:
    first = made(api, "Ada.Lovelace")
    answer = attempt("ada.lovelace", PASSWORD, cookie=False)
    assert (answer.status, answer.body["role"]) == (200, "org_admin")
    assert answer.body["organization"] == first.organization
    assert answer.body["user_id"] == first.admin
    shown = api.call("GET", "/api/v1/audit-records", credential=answer.body["session"])
    assert shown.status == 200
    (record,) = [
        one for one in shown.body["audit_records"] if one["event"] == "organization.bootstrapped"
    ]
    assert record["detail"]["admin_user_id"] == first.admin


def test_all_rows_of_the_first_admin_are_there(api: Api) -> None:
    first = made(api, "grace")
    organization = OrganizationItem.get(first.organization, "organization")
    assert organization.admins == 1
    member = OrganizationItem.get(first.organization, f"member#{first.admin}")
    assert (member.role, member.username, member.status) == ("org_admin", "grace", "active")
    person = PersonItem.get(str(first.admin), "user")
    assert (person.home, person.username) == (first.organization, "grace")
    assert PersonItem.get("username#grace", "username").user == first.admin
    mirror = PersonItem.get(str(first.admin), f"organization#{first.organization}")
    assert mirror.organization == first.organization


def test_the_names_of_the_first_project_and_environment_are_reserved(api: Api) -> None:
    first = made(api, "hopper")
    session = attempt("hopper", PASSWORD, cookie=False).body["session"]

    def create(path: str, body: dict[str, str]) -> tuple[int, str | None]:
        answer = api.call("POST", f"/api/v1{path}", body, credential=session)
        return answer.status, answer.code if answer.status != 201 else None

    assert create("/projects", {"name": "MAIN"}) == (409, "name_taken")
    environment = {"project": first.project, "name": "Main"}
    assert create("/environments", environment) == (409, "name_taken")
    assert create("/projects", {"name": "another"}) == (201, None)


def test_a_name_that_somebody_has_makes_nothing(api: Api) -> None:
    made(api, "taken")
    before = sum(1 for _ in OrganizationItem.scan())
    with pytest.raises(Conflict) as refused:
        made(api, "TAKEN")
    assert refused.value.code == "username_taken"
    assert sum(1 for _ in OrganizationItem.scan()) == before


@pytest.mark.parametrize("username", ["", " ada", "ada lovelace", "-ada", "a" * 129, "adä"])
def test_a_name_that_cannot_be_used_makes_nothing(api: Api, username: str) -> None:
    with pytest.raises(Malformed):
        made(api, username)


@pytest.mark.parametrize("password", [f"{MARK} abcd"[:11], f"{MARK} " + "x" * 256])
def test_a_password_that_cannot_be_used_makes_nothing(api: Api, password: str) -> None:
    with pytest.raises(Malformed):
        made(api, "unfit", password)
    assert attempt("unfit", PASSWORD).status == 401


def test_an_organization_without_an_admin_hashes_no_password(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.flows.bootstrap.Passwords", Counting)
    first = made(api, None)
    assert first.admin is None
    assert OrganizationItem.get(first.organization, "organization").admins is None
