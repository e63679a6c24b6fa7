from __future__ import annotations

import json
import stat

import httpx
import pytest
from rollcall_cli.secret import Secret
from rollcall_cli.urls import check_base_url

from tests.unit.cli.fakes import KEY, URL, Machine, agent, listed, ok, problem

LOGIN = "POST /auth/login"
SESSION = "rcs_org_user_secret"
ORGANIZATION = "org_" + "1" * 20
OTHER = "org_" + "2" * 20
LOGGING_IN = ("login", "--url", URL, "--username", "ada", "--password-stdin")


@pytest.fixture
def person(machine: Machine) -> Machine:
    """A machine without a credential in its environment, and a control plane that lets Ada in."""
    machine.environ.clear()
    machine.plane.on(LOGIN, opened(SESSION, ORGANIZATION))
    return machine


def opened(secret: str, organization: str) -> httpx.Response:
    return ok(
        {
            "user_id": "usr_1",
            "organization": organization,
            "session_expires_at": "2026-01-01T00:00:00.000Z",
            "session": secret,
        }
    )


def test_a_login_keeps_the_session_in_a_private_file_and_prints_no_secret(person: Machine) -> None:
    ran = person.run(*LOGGING_IN, stdin="pass word \n")
    assert ran.code == 0
    assert json.loads(person.plane.requests[0].content) == {
        "username": "ada",
        "password": "pass word ",
        "cookie": False,
    }
    assert "authorization" not in person.plane.requests[0].headers
    assert stat.S_IMODE(person.credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.credentials.parent.stat().st_mode) == 0o700
    assert not any(text in ran.out + ran.err for text in (SESSION, "pass word"))
    person.plane.on("GET /agents", listed("agents", agent()))
    assert person.run("agent", "list").code == 0
    assert person.plane.requests[-1].headers["authorization"] == f"Bearer {SESSION}"


def test_a_session_is_sent_only_to_where_it_was_made(person: Machine) -> None:
    person.run(*LOGGING_IN, stdin="x")
    person.environ["ROLLCALL_API_BASE_URL"] = "https://other.example/prod"
    count = len(person.plane.requests)
    ran = person.run("agent", "list")
    assert (ran.code, len(person.plane.requests)) == (3, count)
    assert "rollcall login" in ran.err


def test_sessions_of_several_control_planes_are_kept_side_by_side(person: Machine) -> None:
    person.run(*LOGGING_IN, stdin="x")
    other = "https://other.example/prod"
    person.plane.on(LOGIN, opened("rcs_other", ORGANIZATION))
    person.run("login", "--url", other, "-u", "ada", "--password-stdin", stdin="x")
    person.plane.on("GET /me", ok({"username": "ada"}))
    assert other in person.run("whoami").out
    person.environ["ROLLCALL_API_BASE_URL"] = URL
    assert URL in person.run("whoami").out
    assert [r.headers["authorization"] for r in person.plane.asked("GET /me")] == [
        "Bearer rcs_other",
        f"Bearer {SESSION}",
    ]


def test_logging_out_forgets_the_session_whatever_the_control_plane_says(person: Machine) -> None:
    person.run(*LOGGING_IN, stdin="x")
    person.plane.on("POST /auth/logout", problem(401, "credential_revoked"))
    assert person.run("logout").code == 0
    assert SESSION not in person.credentials.read_text()
    assert person.plane.requests[-1].headers["authorization"] == f"Bearer {SESSION}"
    assert person.run("logout").code == 0
    assert person.run("agent", "list").code == 3


def test_switching_keeps_the_new_session(person: Machine) -> None:
    person.run(*LOGGING_IN, stdin="x")
    person.plane.on(
        "GET /organizations",
        listed("organizations", {"organization_id": OTHER, "name": "Other Ltd"}),
    )
    person.plane.on("POST /auth/switch", opened("rcs_switched", OTHER))
    ran = person.run("switch", "Other Ltd")
    assert ran.code == 0
    assert json.loads(person.plane.requests[-1].content) == {"organization": OTHER}
    content = person.credentials.read_text()
    assert ("rcs_switched" in content, SESSION in content) == (True, False)
    assert "rcs_switched" not in ran.out + ran.err


def test_a_switch_whose_answer_is_lost_is_not_repeated(person: Machine) -> None:
    person.run(*LOGGING_IN, stdin="x")
    person.plane.on(
        "GET /organizations",
        listed("organizations", {"organization_id": OTHER, "name": "Other Ltd"}),
    )
    # The session that would ask again has ended, and what it was exchanged for is lost.
    person.plane.on("POST /auth/switch", httpx.ReadTimeout("lost"))
    assert person.run("switch", "Other Ltd").code == 5
    assert len(person.plane.asked("POST /auth/switch")) == 1


def test_a_wrong_password_keeps_nothing(person: Machine) -> None:
    person.plane.on(LOGIN, problem(401, "login_failed"))
    ran = person.run(*LOGGING_IN, stdin="wrong\n")
    assert (ran.code, person.credentials.exists()) == (3, False)
    assert "wrong" not in ran.out + ran.err


def test_nobody_is_asked_where_there_is_no_terminal(person: Machine) -> None:
    ran = person.run("login", "--url", URL, "--username", "ada")
    assert (ran.code, person.plane.requests) == (2, [])
    assert "--password-stdin" in ran.err


def test_a_file_that_others_can_read_is_warned_about(person: Machine) -> None:
    person.run(*LOGGING_IN, stdin="x")
    person.credentials.chmod(0o640)
    person.plane.on("GET /me", ok({}))
    assert "chmod 600" in person.run("whoami").err


def test_a_broken_file_is_said_to_be_one(person: Machine) -> None:
    person.credentials.parent.mkdir(parents=True)
    person.credentials.write_text("{")
    ran = person.run("whoami")
    assert (ran.code, str(person.credentials) in ran.err) == (2, True)


def test_a_credential_of_the_environment_wants_a_url_of_the_environment(person: Machine) -> None:
    person.run(*LOGGING_IN, stdin="x")
    person.environ["ROLLCALL_CREDENTIAL"] = KEY
    ran = person.run("agent", "list")
    assert (ran.code, len(person.plane.requests)) == (2, 1)
    assert "ROLLCALL_API_BASE_URL" in ran.err


@pytest.mark.parametrize("given", ["rce_token", "rca_key", "rci_invitation", "secret", "rco_ä"])
def test_what_is_no_operators_credential_is_not_sent(machine: Machine, given: str) -> None:
    machine.environ["ROLLCALL_CREDENTIAL"] = given
    ran = machine.run("agent", "list")
    assert (ran.code, machine.plane.requests) == (2, [])
    assert given not in ran.err


@pytest.mark.parametrize(
    "url",
    [
        "http://cp.example/prod",
        "ftp://cp.example",
        "https://user:pw@cp.example",
        "https://cp.example/prod?x=1",
        "https://",
        "https://cp.example/\x1b[2J",
    ],
)
def test_a_url_to_which_no_credential_may_go_is_refused(machine: Machine, url: str) -> None:
    machine.environ["ROLLCALL_API_BASE_URL"] = url
    ran = machine.run("agent", "list")
    assert (ran.code, machine.plane.requests) == (2, [])
    assert "pw" not in ran.err


def test_this_host_itself_is_spoken_to_plainly() -> None:
    for url in ("http://127.0.0.1:8000/dev/", "http://localhost/dev", "http://[::1]:1/dev"):
        assert check_base_url(url) == url.rstrip("/")


def test_a_secret_has_no_repr() -> None:
    assert KEY not in repr(Secret(KEY)) + str(Secret(KEY))


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_credential_that_is_set_and_empty_is_not_replaced_by_who_is_logged_in(
    person: Machine, empty: str
) -> None:
    person.environ["ROLLCALL_CREDENTIAL"] = empty
    done = person.run("whoami")
    assert done.code == 2
    assert "set and empty" in done.err
