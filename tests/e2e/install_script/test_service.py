"""With a service the installer waits for the control plane's word; without one it says so."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.e2e.install_script.host import TOKEN, Host, altered


class ServiceHost(Host):
    """A host below a prefix that looks to the script as one where systemd runs does."""

    def script(self) -> str:
        return altered(
            self.plane.script(),
            ('[ -z "$prefix" ] || return 1', ":"),
            ("='/run/systemd/system'", f"='{self.root}/run/systemd/system'"),
            ("='/etc/systemd/system/", f"='{self.root}/etc/systemd/system/"),
        )

    def run(
        self, *arguments: str, token: str | None = TOKEN, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        path = f"{self.root}/shims:{self.environment({})['PATH']}"
        script = self.script()
        return self.install(*arguments, token=token, script=script, PATH=path, **extra)


@pytest.fixture
def systemd(host: Host) -> ServiceHost:
    (host.root / "run/systemd/system").mkdir(parents=True)
    log = host.root / "fake/systemctl"
    systemctl = host.write("shims/systemctl", f'#!/bin/sh\necho "$*" >>"{log}"\n')
    systemctl.chmod(0o755)
    return ServiceHost(host.root, host.plane)


def test_the_service_is_installed_and_its_first_heartbeat_awaited(systemd: ServiceHost) -> None:
    result = systemd.run()
    assert result.returncode == 0, result.stderr
    assert systemd.calls()[1] == f"service install --config {systemd.config}"
    assert systemd.commands() == ["enroll", "service install", "status"]
    assert "agt_1 is online" in result.stdout


@pytest.mark.parametrize(
    "status",
    ['{"last_state": null}', '{"last_state": {"state": "unreachable", "since": "9"}}', "",
     '{"service": {"state": "online"}, "last_state": {"state": "late", "since": "9"}}'],
)  # fmt: skip
def test_a_host_that_does_not_come_online_is_no_success(systemd: ServiceHost, status: str) -> None:
    systemd.fake("service.exit").write_text("0\n")
    systemd.fake("status").write_text(status)
    result = systemd.run(ROLLCALL_WAIT_SECONDS="0")
    assert result.returncode == 1
    assert "has accepted no heartbeat of this host" in result.stderr
    assert "journalctl -u rollcall-agent" in result.stderr
    systemd.fake("service.exit").unlink()
    assert systemd.run(token=None).returncode == 0
    assert len(systemd.spent()) == 1


def test_a_new_identity_restarts_the_service_and_awaits_its_own_heartbeat(
    systemd: ServiceHost,
) -> None:
    assert systemd.run().returncode == 0
    systemd.fake("status").write_text(
        '{"last_state": {"state": "online", "since": "2020-01-01T00:00:00+00:00"}}'
    )
    systemd.fake("service.exit").write_text("0\n")
    forced = {"ROLLCALL_FORCE_REENROLL": "1", "ROLLCALL_WAIT_SECONDS": "0"}
    stale = systemd.run(token="rce_second", **forced)
    assert stale.returncode == 1
    assert "has accepted no heartbeat" in stale.stderr
    systemd.fake("service.exit").unlink()
    again = systemd.run(token="rce_second", **forced)
    assert again.returncode == 0, again.stderr
    assert systemd.commands()[-2:] == ["service install", "status"]
    assert "agt_2 is online" in again.stdout
    assert len(systemd.spent()) == 2


def test_what_an_earlier_life_left_behind_is_no_heartbeat(systemd: ServiceHost) -> None:
    left = systemd.write("etc/rollcall/agent.state.json", '{"state": "online"}')
    systemd.fake("service.exit").write_text("0\n")
    systemd.fake("status").symlink_to(left)
    result = systemd.run(ROLLCALL_WAIT_SECONDS="0")
    assert result.returncode == 1
    assert "has accepted no heartbeat of this host" in result.stderr
    assert not left.exists()


def test_a_service_gets_the_proxy_that_it_would_not_inherit(systemd: ServiceHost) -> None:
    proxy = "http://alice:canary@proxy.example:3128/%20"
    assert systemd.run(https_proxy=proxy, NO_PROXY="localhost").returncode == 0
    drop_in = systemd.root / "etc/systemd/system/rollcall-agent.service.d/proxy.conf"
    kept = systemd.config.parent / "proxy.env"
    lines = kept.read_text().splitlines()
    assert 'https_proxy="http://alice:canary@proxy.example:3128/%20"' in lines
    assert 'NO_PROXY="localhost"' in lines
    assert kept.stat().st_mode & 0o077 == 0
    # What stands in a unit, everybody may ask systemd for.
    assert drop_in.read_text().splitlines()[1:] == ["[Service]", f"EnvironmentFile=-{kept}"]
    (drop_in.parent / "mine.conf").write_text("")
    assert systemd.run("--uninstall", token=None).returncode == 0
    assert [path.name for path in drop_in.parent.iterdir()] == ["mine.conf"]
    assert not kept.exists()


def test_a_proxy_that_is_not_set_any_more_is_forgotten(systemd: ServiceHost) -> None:
    kept = systemd.write("etc/rollcall/proxy.env", 'https_proxy="http://gone.example"\n')
    drop_in = systemd.write("etc/systemd/system/rollcall-agent.service.d/proxy.conf", "")
    assert systemd.run().returncode == 0
    assert not kept.exists()
    assert not drop_in.parent.exists()


def test_a_service_whose_agent_is_gone_is_removed_all_the_same(systemd: ServiceHost) -> None:
    assert systemd.run().returncode == 0
    systemd.binary.unlink()
    unit = systemd.write("etc/systemd/system/rollcall-agent.service", "")
    assert systemd.run("--uninstall", token=None).returncode == 0
    assert not unit.exists()
    assert "disable --now rollcall-agent.service" in systemd.fake("systemctl").read_text()


def test_below_a_prefix_no_service_is_touched(host: Host) -> None:
    (host.root / "run/systemd/system").mkdir(parents=True)
    assert host.install().returncode == 0
    assert host.install("--uninstall", token=None).returncode == 0
    assert host.commands() == ["enroll", "run"]


def test_a_service_that_is_not_wanted_is_not_installed(systemd: ServiceHost) -> None:
    result = systemd.run(ROLLCALL_NO_SERVICE="1")
    assert result.returncode == 0, result.stderr
    assert systemd.commands() == ["enroll", "run"]
    assert "no service was installed. Start the agent with" in result.stdout


def test_a_service_that_cannot_be_installed_is_no_success(systemd: ServiceHost) -> None:
    systemd.fake("service.exit").write_text("1\n")
    result = systemd.run()
    assert result.returncode == 1
    assert "the service could not be installed" in result.stderr
    assert "online" not in result.stdout


def test_uninstalling_removes_service_and_agent_and_keeps_the_identity(
    systemd: ServiceHost,
) -> None:
    assert systemd.run().returncode == 0
    result = systemd.run("--uninstall", token=None)
    assert result.returncode == 0, result.stderr
    assert systemd.calls()[-1] == "service uninstall"
    assert not systemd.binary.exists()
    assert systemd.settings()["ROLLCALL_AGENT_ID"] == "agt_1"
    assert f"left: {systemd.config.parent}" in result.stdout
    assert "still knows agt_1" in result.stdout
    again = systemd.run(token=None)
    assert again.returncode == 0, again.stderr
    assert systemd.commands()[-2:] == ["service install", "status"]
    assert len(systemd.spent()) == 1


def test_uninstalling_can_tell_the_control_plane_and_leave_nothing(host: Host) -> None:
    assert host.install().returncode == 0
    result = host.install("--decommission", "--purge", token=None, ROLLCALL_UNINSTALL="1")
    assert result.returncode == 0, result.stderr
    assert host.calls()[-1] == f"decommission --yes --config {host.config}"
    assert not host.config.parent.exists()
    assert not host.state.exists()
    assert "still knows" not in result.stdout
    assert host.install("--uninstall", "--decommission", "--purge", token=None).returncode == 0


def test_uninstalling_takes_along_what_upgrades_left_beside_the_agent(host: Host) -> None:
    assert host.install().returncode == 0
    for name in ("rollcall-agent.previous", ".rollcall-agent.1.3.0.4711.new",
                 ".rollcall-agent.previous.new"):  # fmt: skip
        host.write(f"usr/local/bin/{name}", "")
    kept = host.write("usr/local/bin/another", "")
    assert host.install("--uninstall", token=None).returncode == 0
    assert list(host.binary.parent.iterdir()) == [kept]
    assert host.left_in_state() == []


@pytest.mark.parametrize("code", [3, 4])
def test_where_the_control_plane_was_not_told_nothing_is_removed(host: Host, code: int) -> None:
    assert host.install().returncode == 0
    host.fake("decommission.exit").write_text(f"{code}\n")
    result = host.install("--uninstall", "--decommission", "--purge", token=None)
    assert result.returncode == code
    assert "Nothing was removed" in result.stderr
    assert host.binary.exists()
    assert host.config.exists()


@pytest.mark.parametrize("arguments", [("--purge",), ("--decommission",), ("--url",), ("--x",)])
def test_arguments_that_make_no_sense_are_refused(host: Host, arguments: tuple[str, ...]) -> None:
    assert host.install(*arguments).returncode == 2
    assert host.plane.asked == []


def test_a_value_of_no_proxy_survives_with_its_blanks_and_quotes(systemd: ServiceHost) -> None:
    odd = 'a.example, *.b.example\n10.0.0.0/8 "quoted" it\'s \\ $HOME `id`'
    assert systemd.run(NO_PROXY=odd, https_proxy='http://u:p"$\\@proxy.example:1').returncode == 0
    lines = (systemd.config.parent / "proxy.env").read_text().splitlines()
    # As systemd reads it: between double quotes a backslash goes before these four.
    assert 'https_proxy="http://u:p\\"\\$\\\\@proxy.example:1"' in lines
    expected = 'a.example, *.b.example 10.0.0.0/8 \\"quoted\\" it\'s \\\\ \\$HOME \\`id\\`'
    assert f'NO_PROXY="{expected}"' in lines


@pytest.mark.parametrize("kind", ["masked", "of something else", "a folder"])
def test_a_unit_that_is_not_the_agents_own_is_not_written_over(
    systemd: ServiceHost, kind: str
) -> None:
    unit = systemd.root / "etc/systemd/system/rollcall-agent.service"
    unit.parent.mkdir(parents=True)
    if kind == "masked":
        unit.symlink_to("/dev/null")
    elif kind == "a folder":
        unit.mkdir()
    else:
        unit.write_text("[Service]\nExecStart=/opt/another\n")
    result = systemd.run()
    assert result.returncode == 2
    assert str(unit) in result.stderr
    assert "ROLLCALL_NO_SERVICE=1" in result.stderr
    assert systemd.plane.asked == []
    assert systemd.run(ROLLCALL_NO_SERVICE="yes").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a file away")
def test_what_another_user_owns_becomes_roots_where_a_service_needs_it(
    systemd: ServiceHost,
) -> None:
    systemd.write("etc/rollcall/agent.env", "FLEET=blue\n").chmod(0o600)
    places = [systemd.config, systemd.config.parent, systemd.state]
    systemd.state.mkdir(parents=True)
    for place in places:
        os.chown(place, 65534, 65534)
    result = systemd.run()
    assert result.returncode == 0, result.stderr
    assert [place.stat().st_uid for place in places] == [0, 0, 0]
    assert f"{systemd.config} belonged to another user; it belongs to root now" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can give a file away")
def test_what_cannot_become_roots_ends_the_run_before_the_token_is_spent(
    systemd: ServiceHost,
) -> None:
    systemd.write("etc/rollcall/agent.env", "FLEET=blue\n").chmod(0o600)
    os.chown(systemd.config, 65534, 65534)
    systemd.write("shims/chown", "#!/bin/sh\nexit 1\n").chmod(0o755)
    result = systemd.run()
    assert result.returncode == 2
    assert f"Next: chown root {systemd.config}" in result.stderr
    assert systemd.spent() == []
