"""A switch means what it says, and one that says nothing ends the run before anything is done."""

from __future__ import annotations

import pytest
from rollcall_client.switches import OFF, ON, NoSwitchError

from tests.e2e.install_script.control_plane import ControlPlane
from tests.e2e.install_script.host import Host

SWITCHES = [
    *("ROLLCALL_UNINSTALL", "ROLLCALL_NO_SERVICE", "ROLLCALL_FORCE_REENROLL", "RM_FORCE_REENROLL"),
    *("ROLLCALL_ALLOW_HTTP", "ROLLCALL_SELF_UPGRADE", "ROLLCALL_SUPERVISED"),
]
NEITHER = ["2", "-1", "01", "y", "enabled", "t", "nope", "true false", "1;id", "tru\u0435", "'1'"]


def untouched(host: Host) -> bool:
    return host.plane.asked == [] and not host.binary.exists() and host.calls() == []


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_that_says_nothing_ends_the_run_at_once(host: Host, name: str) -> None:
    result = host.install(**{name: "maybe"})
    assert result.returncode == 2
    line = NoSwitchError(name).line
    assert result.stderr == f"rollcall: error: {line} Next: correct it in the environment.\n"
    assert untouched(host)


@pytest.mark.parametrize("value", NEITHER)
def test_what_is_neither_on_nor_off_is_refused_and_not_repeated(host: Host, value: str) -> None:
    result = host.install(ROLLCALL_NO_SERVICE=value)
    assert result.returncode == 2
    assert f" {value}." not in result.stderr
    assert untouched(host)


@pytest.mark.parametrize("argument", ["--uninstall", "--help"])
def test_a_switch_is_checked_also_where_it_is_not_used(host: Host, argument: str) -> None:
    assert host.install().returncode == 0
    result = host.install(argument, token=None, RM_FORCE_REENROLL="maybe")
    assert result.returncode == (2 if argument == "--uninstall" else 0)
    assert host.binary.exists()


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_of_the_env_file_is_checked_as_well(host: Host, name: str) -> None:
    host.write("etc/rollcall/agent.env", f"# ours\n{name}=maybe\n")
    result = host.install()
    assert result.returncode == 2
    assert f"{NoSwitchError(name).line} Next: correct it in {host.config}" in result.stderr
    assert untouched(host)


@pytest.mark.parametrize("value", [*sorted(ON), "TRUE", "Yes", " on "])
def test_uninstalling_means_uninstalling(host: Host, value: str) -> None:
    host.write("usr/local/bin/rollcall-agent", "")
    result = host.install(token=None, ROLLCALL_UNINSTALL=value)
    assert result.returncode == 0, result.stderr
    assert f"removed {host.binary}" in result.stdout
    assert not host.binary.exists()


@pytest.mark.parametrize("value", [*sorted(OFF), "FALSE", "No", " off ", "", " "])
def test_not_uninstalling_means_installing(host: Host, value: str) -> None:
    # Without a token it goes no further.
    result = host.install(token=None, ROLLCALL_UNINSTALL=value)
    assert result.returncode == 2
    assert "there is no enrollment token" in result.stderr


@pytest.mark.parametrize(
    ("extra", "agents"),
    [
        ({"ROLLCALL_FORCE_REENROLL": "yes"}, 2),
        ({"RM_FORCE_REENROLL": "On"}, 2),
        ({"ROLLCALL_FORCE_REENROLL": "", "RM_FORCE_REENROLL": "true"}, 2),
        ({"ROLLCALL_FORCE_REENROLL": "no", "RM_FORCE_REENROLL": "1"}, 1),
        ({"ROLLCALL_FORCE_REENROLL": "False"}, 1),
    ],
)
def test_a_new_identity_is_given_where_the_switch_says_so(
    host: Host, extra: dict[str, str], agents: int
) -> None:
    assert host.install().returncode == 0
    assert host.install(token="rce_second", **extra).returncode == 0
    assert len(host.spent()) == agents


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [
        ("", {"ROLLCALL_SELF_UPGRADE": "false"}, {"ROLLCALL_SELF_UPGRADE": "0"}),
        ("", {"ROLLCALL_SELF_UPGRADE": "on"}, {}),
        (
            "ROLLCALL_SELF_UPGRADE=no\n",
            {"ROLLCALL_SELF_UPGRADE": "yes"},
            {"ROLLCALL_SELF_UPGRADE": "1"},
        ),
        ("", {"ROLLCALL_ALLOW_HTTP": "Yes"}, {"ROLLCALL_ALLOW_HTTP": "1"}),
        (
            "ROLLCALL_ALLOW_HTTP=true\n",
            {"ROLLCALL_ALLOW_HTTP": "1"},
            {"ROLLCALL_ALLOW_HTTP": "true"},
        ),
        ("ROLLCALL_ALLOW_HTTP=1\n", {"ROLLCALL_ALLOW_HTTP": "off"}, {"ROLLCALL_ALLOW_HTTP": "0"}),
        ("ROLLCALL_ALLOW_HTTP=yes\n", {}, {"ROLLCALL_ALLOW_HTTP": "yes"}),
    ],
)
def test_what_the_service_would_not_inherit_is_written_down(
    host: Host, before: str, given: dict[str, str], after: dict[str, str]
) -> None:
    host.write("etc/rollcall/agent.env", before)
    assert host.install(**given).returncode == 0
    found = host.settings()
    names = ("ROLLCALL_SELF_UPGRADE", "ROLLCALL_ALLOW_HTTP")
    assert {name: found[name] for name in names if name in found} == after


@pytest.mark.parametrize(
    ("environment", "file", "allowed"),
    [
        ("true", "", True),
        ("", "ROLLCALL_ALLOW_HTTP=yes", True),
        ("no", "ROLLCALL_ALLOW_HTTP=1", False),
        ("0", "", False),
        ("", "", False),
        ("on", "ROLLCALL_ALLOW_HTTP=0", True),
    ],
)
def test_plain_http_is_allowed_where_the_switch_says_so(
    host: Host, plane: ControlPlane, environment: str, file: str, allowed: bool
) -> None:
    host.write("etc/rollcall/agent.env", f"{file}\n")
    plain = {"ROLLCALL_URL": "http://control-plane.invalid/dev", "ROLLCALL_ALLOW_HTTP": environment}
    result = host.install(token=None, **plain)
    assert result.returncode == 2
    assert ("plain HTTP" in result.stderr) is not allowed
    assert plane.asked == []
