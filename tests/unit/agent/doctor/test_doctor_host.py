"""What the doctor makes of the env file, the disks, the service and the identity."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rollcall_agent.doctor import configured, on_host
from rollcall_agent.doctor.check import Check, Outcome
from rollcall_agent.env_file import EnvFile
from rollcall_agent.last_state import remember
from rollcall_agent.programs import Ran
from rollcall_agent.service.reach import ServiceUser
from rollcall_agent.settings import Settings

from tests.unit.agent.doctor.fake_network import FakePrograms

MIB = 1024 * 1024
ENROLLED = "ROLLCALL_AGENT_ID=agt_1\nROLLCALL_AGENT_API_KEY=rca_key\n"


def says(check: Check, outcome: Outcome, *words: str) -> None:
    assert check.outcome is outcome, check
    for word in words:
        assert word in check.line()


def env_file(tmp_path: Path, text: str = "", mode: int = 0o600) -> Path:
    path = tmp_path / "agent.env"
    path.write_text(text)
    path.chmod(mode)
    return path


def settings(tmp_path: Path, text: str = "", **environment: str) -> Settings:
    return Settings(tmp_path / "agent.env", environment, EnvFile(text))


def test_an_env_file_of_its_owner_alone_is_right(tmp_path: Path) -> None:
    check, file = configured.check_configuration(env_file(tmp_path, "# note\n\nA=b\n"))
    says(check, Outcome.OK, "agent.env")
    assert file is not None
    assert file.get("A") == "b"


def test_a_missing_env_file_is_only_warned_about(tmp_path: Path) -> None:
    check, file = configured.check_configuration(tmp_path / "missing.env")
    says(check, Outcome.WARNING, "does not exist", "run enroll")
    assert file is not None
    assert file.text() == ""


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_an_env_file_that_others_may_touch_is_a_failure(tmp_path: Path, mode: int) -> None:
    path = env_file(tmp_path, mode=mode)
    says(configured.check_configuration(path)[0], Outcome.FAILED, f"chmod 600 {path}")


def test_an_env_file_that_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "agent.env"
    folder.mkdir()
    says(configured.check_configuration(folder)[0], Outcome.FAILED, "Cannot read", "Next:")


def test_a_line_that_means_nothing_is_named_by_its_number_and_never_shown(tmp_path: Path) -> None:
    path = env_file(tmp_path, "# note\nA=b\nrce_pasted_secret\n")
    check, _ = configured.check_configuration(path)
    says(check, Outcome.WARNING, "Line 3")
    assert "rce_" not in check.line()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_an_env_file_that_the_service_cannot_read_is_a_failure(tmp_path: Path) -> None:
    path = env_file(tmp_path)
    os.chown(path, 12345, 12345)
    says(configured.check_configuration(path)[0], Outcome.FAILED, "user 12345", f"chown 0 {path}")


def test_a_url_is_right_missing_unusable_or_plain(tmp_path: Path) -> None:
    good, url = configured.check_url(settings(tmp_path), "https://cp.example/prod/")
    says(good, Outcome.OK, "https://cp.example/prod")
    assert url == "https://cp.example/prod"
    missing, url = configured.check_url(settings(tmp_path), None)
    says(missing, Outcome.FAILED, "No control plane is configured", "Next: give --url")
    assert url is None
    says(configured.check_url(settings(tmp_path), "http://cp.example")[0], Outcome.FAILED, "https")
    allowed = settings(tmp_path, "ROLLCALL_ALLOW_HTTP=1\n")
    plain, url = configured.check_url(allowed, "http://cp.example")
    says(plain, Outcome.WARNING, "plain http")
    assert url == "http://cp.example"


def test_a_host_without_identity_is_skipped_unless_its_enrollment_was_interrupted(
    tmp_path: Path,
) -> None:
    says(configured.check_identity(settings(tmp_path)), Outcome.SKIPPED, "not enrolled")
    interrupted = settings(tmp_path, "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY=abc\n")
    says(configured.check_identity(interrupted), Outcome.WARNING, "run enroll again")


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("online", Outcome.OK),
        ("starting", Outcome.OK),
        ("quarantined", Outcome.WARNING),
        ("refused", Outcome.WARNING),
        ("unreachable", Outcome.WARNING),
        ("throttled", Outcome.WARNING),
        ("ended", Outcome.FAILED),
    ],
)
def test_an_identity_is_judged_by_what_the_service_last_wrote(
    tmp_path: Path, state: str, outcome: Outcome
) -> None:
    found = settings(tmp_path, ENROLLED)
    says(configured.check_identity(found), Outcome.OK, "agt_1", "has not beaten yet")
    remember(found.state_file(), state, "detail", 1_700_000_000)
    check = configured.check_identity(found)
    says(check, outcome, "agt_1", f"{state} since 2023-11-14")
    assert "rca_key" not in check.line()


def test_an_identity_with_characters_that_none_has_is_a_failure(tmp_path: Path) -> None:
    broken = settings(tmp_path, "ROLLCALL_AGENT_ID=agt 1\nROLLCALL_AGENT_API_KEY=rca_key\n")
    says(configured.check_identity(broken), Outcome.FAILED)


@pytest.mark.parametrize(
    ("free", "outcome"),
    [(500 * MIB, Outcome.OK), (99 * MIB, Outcome.WARNING), (MIB - 1, Outcome.FAILED)],
)
def test_a_disk_is_judged_by_the_room_that_is_left(
    tmp_path: Path, free: int, outcome: Outcome
) -> None:
    check = on_host.check_disk([tmp_path / "not" / "there", tmp_path], lambda _: free)
    says(check, outcome, f"{free // MIB} MiB left")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_a_failure(tmp_path: Path) -> None:
    # /proc refuses root, too.
    check = on_host.check_disk([tmp_path, Path("/proc/rollcall")])
    says(check, Outcome.FAILED, "/proc/rollcall cannot be written to", "Next:")


def systemd(active: str, enabled: str, enabled_code: int = 0) -> FakePrograms:
    return FakePrograms(
        {
            "systemctl is-active rollcall-agent": Ran(
                0 if active == "active" else 3, active + "\n"
            ),
            "systemctl is-enabled rollcall-agent": Ran(enabled_code, enabled + "\n"),
        }
    )


@pytest.mark.parametrize(
    ("active", "enabled", "outcome", "words"),
    [
        ("active", "enabled", Outcome.OK, "active and enabled"),
        ("active", "Warning: changed on disk.\nenabled", Outcome.OK, "active and enabled"),
        ("active", "disabled", Outcome.WARNING, "does not start with the host"),
        ("activating", "enabled", Outcome.WARNING, "journalctl"),
        ("failed", "enabled", Outcome.FAILED, "journalctl"),
        ("inactive", "enabled", Outcome.FAILED, "enable --now"),
        ("inactive", "masked", Outcome.FAILED, "unmask"),
        ("inactive", "not-found", Outcome.WARNING, "service install"),
        (
            "inactive",
            "Failed to get unit file state: No such file or directory",
            Outcome.WARNING,
            "service install",
        ),
    ],
)
def test_a_systemd_unit_is_told_with_what_to_do(
    active: str, enabled: str, outcome: Outcome, words: str
) -> None:
    check = on_host.check_service("linux", systemd(active, enabled), enrolled=True)
    says(check, outcome, words)


def test_a_host_that_is_not_enrolled_needs_no_service_yet() -> None:
    absent = on_host.check_service("linux", systemd("inactive", "not-found"), enrolled=False)
    says(absent, Outcome.SKIPPED)
    stopped = on_host.check_service("linux", systemd("inactive", "enabled"), enrolled=False)
    says(stopped, Outcome.WARNING, "enroll this host")


@pytest.mark.parametrize(
    "programs",
    [
        FakePrograms(),
        systemd("System has not been booted with systemd as init system (PID 1).", ""),
    ],
)
def test_without_systemd_the_service_is_skipped(programs: FakePrograms) -> None:
    says(on_host.check_service("linux", programs, enrolled=True), Outcome.SKIPPED)


@pytest.mark.parametrize(
    ("ran", "outcome"),
    [
        (Ran(0, "system/rollcall-agent = {\n\tstate = running\n}"), Outcome.OK),
        (Ran(0, "system/rollcall-agent = {\n\tstate = spawn scheduled\n}"), Outcome.FAILED),
        (Ran(113, "Could not find service"), Outcome.WARNING),
        (Ran(127, ""), Outcome.SKIPPED),
    ],
)
def test_launchd_is_understood(ran: Ran, outcome: Outcome) -> None:
    programs = FakePrograms({"launchctl print system/rollcall-agent": ran})
    says(on_host.check_service("darwin", programs, enrolled=True), outcome)


@pytest.mark.parametrize(
    ("ran", "outcome"),
    [
        (Ran(0, "STATE : 4  RUNNING"), Outcome.OK),
        (Ran(0, "STATE : 1  STOPPED"), Outcome.FAILED),
        (Ran(1060, "[SC] EnumQueryServicesStatus:OpenService FAILED 1060:"), Outcome.WARNING),
        (Ran(127, ""), Outcome.SKIPPED),
    ],
)
def test_the_windows_service_manager_is_understood(ran: Ran, outcome: Outcome) -> None:
    programs = FakePrograms({"sc.exe query rollcall-agent": ran})
    says(on_host.check_service("win32", programs, enrolled=True), outcome)


@pytest.mark.parametrize(
    ("text", "environment", "outcome", "words"),
    [
        ("ROLLCALL_TOKN=x\n", {}, Outcome.WARNING, ["ROLLCALL_TOKN in", "ROLLCALL_TOKEN is meant"]),
        ("", {"ROLLCALL_ALOW_HTTP": "1"}, Outcome.WARNING, ["ROLLCALL_ALOW_HTTP in the env"]),
        ("rollcall_token=x\n", {}, Outcome.WARNING, ["rollcall_token", "(ROLLCALL_TOKEN is"]),
        ("ROLLCALL_A=1\nROLLCALL_B=2\n", {}, Outcome.WARNING, ["ROLLCALL_A in", "ROLLCALL_B in"]),
        ("ROLLCALL_URL=https://a\n", {}, Outcome.WARNING, ["ROLLCALL_URL (ROLLCALL_API_BASE_URL"]),
        ("ROLLCALL_TOKN=x\njunk\n", {}, Outcome.WARNING, ["Line 2", "ROLLCALL_TOKN"]),
        ("ROLLCALL_SELF_UPGRADE=maybe\n", {}, Outcome.FAILED, ["must be 1, true, yes or on"]),
        ("", {"ROLLCALL_SUPERVISED": "2"}, Outcome.FAILED, ["the environment"]),
        ("# x\nROLLCALL_TOKEN='rce_a\n", {}, Outcome.FAILED, ["agent.env, line 2: a quote is not"]),
        ("ROLLCALL_CA_BUNDLE=/nonexistent/ca\n", {}, Outcome.FAILED, ["/nonexistent/ca"]),
        ("ROLLCALL_CA_BUNDLE=/etc/passwd\n", {}, Outcome.FAILED, ["no PEM certificates"]),
        ("", {"ROLLCALL_CREDENTIAL": "rco_a", "ROLLCALL_URL": "https://a"}, Outcome.OK, []),
        ("SENSOR_ID=a\nRM_RETENTION=b\nexport ROLLCALL_TOKEN\n", {}, Outcome.OK, []),
    ],
)
def test_what_is_written_is_judged_and_never_shown(
    tmp_path: Path, text: str, environment: dict[str, str], outcome: Outcome, words: list[str]
) -> None:
    check, _ = configured.check_configuration(env_file(tmp_path, text), environment)
    says(check, outcome, *words)
    assert "rce_a" not in check.line()


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("HTTPS_PROXY='http://user:hunter2@proxy:3128\n", Outcome.FAILED),
        ("HTTPS_PROXY: http://user:hunter2@proxy:3128\n", Outcome.FAILED),
        ("\ufeffhttps_proxy=http://user:hunter2@proxy:3128\r\nNO_PROXY=a\n", Outcome.OK),
    ],
)
def test_the_file_of_the_services_proxies_is_judged_too(
    tmp_path: Path, text: str, outcome: Outcome
) -> None:
    (tmp_path / "proxy.env").write_text(text)
    check, _ = configured.check_configuration(env_file(tmp_path))
    says(check, outcome, *(["proxy.env, line 1: "] if outcome is Outcome.FAILED else []))
    assert "hunter2" not in check.line()


def test_what_the_service_does_not_see_is_a_failure(tmp_path: Path) -> None:
    user = ServiceUser(os.geteuid(), frozenset({os.getegid()}), hidden=(str(tmp_path),))
    check, _ = configured.check_configuration(env_file(tmp_path), user=user)
    says(check, Outcome.FAILED, "does not see")
    says(on_host.check_disk([tmp_path], user=user), Outcome.FAILED, "does not see")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_that_the_service_cannot_write_to_is_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    says(on_host.check_disk([folder]), Outcome.OK)
    says(on_host.check_disk([folder], user=ServiceUser()), Outcome.FAILED, "user 12345", "chown 0")
