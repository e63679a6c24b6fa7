"""The names of other agents' documents, and each sentence of the sensor's about its env file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from rollcall_agent.answers import Answer
from rollcall_agent.commands.enroll import enroll_with
from rollcall_agent.enrollment import Ask, Enrollment
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.retry import Retry
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Settings
from rollcall_agent.token_sources import find_token

from tests.unit.agent.fakes import Chance, FakeClock, Lines, ScriptedPlane, lost, said

SENSOR_BEFORE = "SENSOR_ID=sensor-1\nINSTALL_TOKEN=rce_install\nBACKEND_URL=https://backend.local\n"
SENSOR_AFTER = (
    "SENSOR_ID=sensor-1\n"
    "# INSTALL_TOKEN consumed during enrollment\n"
    "BACKEND_URL=https://backend.local\n"
    "SENSOR_TOKEN=rca_durable\n"
)
CREATED = said(201, {"agent_id": "agt_1", "runtime_key": "rca_durable", "name": "sensor"})


class Sensor:
    """A host that is configured by an env file alone."""

    def __init__(self, tmp_path: Path, text: str) -> None:
        self.path = tmp_path / "ravenxcope" / "sensor-agent.env"
        self.path.parent.mkdir()
        self.path.write_text(text)
        self.plane = ScriptedPlane()
        self.lines = Lines()

    def settings(self, **environment: str) -> Settings:
        return Settings.load(self.path, environment)

    def enroll(self, *answers: Answer | Exception, **environment: str) -> None:
        settings = self.settings(**environment)
        ask = Ask(find_token(settings, self.lines), settings.base_url(), {"hostname": "h"})
        self.plane.answers = list(answers)
        retry = Retry(FakeClock(), Chance(), self.lines, 5)
        enroll_with(settings, ask, self.plane, retry, self.lines)


def test_the_documented_sensor_file_before_and_after(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, SENSOR_BEFORE)
    sensor.enroll(CREATED)
    # One line more than the document: there a token alone says who a sensor is.
    assert sensor.path.read_text() == SENSOR_AFTER + "ROLLCALL_AGENT_ID=agt_1\n"
    assert sensor.plane.calls[0].bearer == Secret("rce_install")


def test_parent_directories_are_created(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "ravenxcope" / "sensor-agent.env"
    ask = Ask(Secret("rce_one"), "https://backend.local", {"hostname": "h"})
    plane = ScriptedPlane(CREATED)
    Enrollment(path, plane, Retry(FakeClock(), Chance(), Lines(), 5), Lines()).run(ask)
    assert path.exists()


def test_an_existing_sensor_token_is_replaced_in_place(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, "SENSOR_TOKEN=of-the-system-before\n" + SENSOR_BEFORE)
    sensor.enroll(CREATED)
    assert sensor.path.read_text().startswith("SENSOR_TOKEN=rca_durable\nSENSOR_ID=sensor-1\n")
    assert sensor.path.read_text().count("SENSOR_TOKEN=") == 1


def test_the_files_permissions_are_set_to_0600(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, SENSOR_BEFORE)
    sensor.path.chmod(0o644)
    sensor.enroll(CREATED)
    assert stat.S_IMODE(sensor.path.stat().st_mode) == 0o600


def test_a_missing_install_token_on_the_first_run_is_an_error_with_its_own_code(
    tmp_path: Path,
) -> None:
    sensor = Sensor(tmp_path, "BACKEND_URL=https://backend.local\n")
    with pytest.raises(AgentError) as missing:
        sensor.enroll()
    assert missing.value.exit_code is ExitCode.NOT_ENROLLED


@pytest.mark.parametrize("silence", [lost("no connection"), Answer(500), Answer(503)])
def test_an_unreachable_backend_during_enrollment_is_an_error_with_its_own_code(
    tmp_path: Path, silence: Answer | Exception
) -> None:
    sensor = Sensor(tmp_path, SENSOR_BEFORE)
    with pytest.raises(AgentError) as unreachable:
        sensor.enroll(*[silence] * 50)
    assert unreachable.value.exit_code is ExitCode.UNREACHABLE
    assert sensor.settings().token() == Secret("rce_install")


def test_a_restart_with_a_persisted_sensor_token_skips_the_enrollment_entirely(
    tmp_path: Path,
) -> None:
    sensor = Sensor(tmp_path, SENSOR_BEFORE)
    sensor.enroll(CREATED)
    identity = sensor.settings().identity()
    assert identity is not None
    assert (identity.agent_id, identity.key) == ("agt_1", Secret("rca_durable"))
    assert sensor.settings().token() is None


def test_a_sensors_own_name_is_no_identity(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, "SENSOR_ID=sensor-1\nSENSOR_TOKEN=rca_key\n")
    assert sensor.settings().identity() is None


def test_a_restic_managers_file_keeps_its_names(tmp_path: Path) -> None:
    host = Sensor(tmp_path, "RM_SERVER=https://restic.lab.example\nRM_TOKEN=rce_rm\n")
    host.enroll(CREATED)
    assert host.path.read_text().splitlines() == [
        "RM_SERVER=https://restic.lab.example",
        "# RM_TOKEN consumed during enrollment",
        "RM_AGENT_TOKEN=rca_durable",
        "ROLLCALL_AGENT_ID=agt_1",
    ]
    identity = host.settings().identity()
    assert identity is not None
    assert identity.agent_id == "agt_1"


def test_a_byteor_file_keeps_its_names_and_takes_the_token_under_ours(tmp_path: Path) -> None:
    host = Sensor(tmp_path, "BYTEOR_API_BASE_URL=https://api.example\n")
    host.enroll(CREATED, ROLLCALL_TOKEN="rce_environment")
    assert host.path.read_text().splitlines() == [
        "BYTEOR_API_BASE_URL=https://api.example",
        "BYTEOR_AGENT_ID=agt_1",
        "BYTEOR_AGENT_API_KEY=rca_durable",
    ]
    assert host.settings().identity() is not None


NAMES = [
    ("url", ["ROLLCALL_API_BASE_URL", "BYTEOR_API_BASE_URL", "RM_SERVER", "BACKEND_URL"]),
    ("token", ["ROLLCALL_TOKEN", "RM_TOKEN", "INSTALL_TOKEN"]),
    ("agent_id", ["ROLLCALL_AGENT_ID", "BYTEOR_AGENT_ID"]),
    ("key", ["ROLLCALL_AGENT_API_KEY", "BYTEOR_AGENT_API_KEY", "RM_AGENT_TOKEN", "SENSOR_TOKEN"]),
]


def found(settings: Settings, kind: str) -> str | None:
    if kind == "url":
        return settings.base_url().removeprefix("https://")
    if kind == "token":
        token = settings.token()
        return token.reveal().removeprefix("rce_") if token else None
    identity = settings.identity()
    assert identity is not None
    return identity.agent_id if kind == "agent_id" else identity.key.reveal()


def line(kind: str, name: str, value: str) -> str:
    return f"{name}={ {'url': 'https://', 'token': 'rce_'}.get(kind, '') }{value}\n"


@pytest.mark.parametrize(("kind", "names"), NAMES)
@pytest.mark.parametrize("first", range(4))
def test_names_are_understood_in_their_stated_order(
    tmp_path: Path, kind: str, names: list[str], first: int
) -> None:
    left = names[first:]
    if not left:
        return
    half = {"agent_id": "SENSOR_TOKEN=k\n", "key": "BYTEOR_AGENT_ID=i\n"}.get(kind, "")
    lines = [line(kind, name, f"value{place}") for place, name in enumerate(names)][first:]
    sensor = Sensor(tmp_path, "".join(reversed(lines)) + half)
    assert found(sensor.settings(), kind) == f"value{first}"


def test_an_own_name_in_the_file_goes_before_another_systems_in_the_environment(
    tmp_path: Path,
) -> None:
    sensor = Sensor(tmp_path, "ROLLCALL_API_BASE_URL=https://ours.example\n")
    settings = sensor.settings(BACKEND_URL="https://of-another-program.example")
    assert settings.base_url() == "https://ours.example"


def test_under_one_name_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    sensor = Sensor(tmp_path, "BACKEND_URL=https://file.example\nINSTALL_TOKEN=rce_file\n")
    settings = sensor.settings(BACKEND_URL="https://environment.example", INSTALL_TOKEN="rce_env")
    assert settings.base_url() == "https://environment.example"
    assert settings.token() == Secret("rce_env")


def test_a_token_under_any_name_is_commented_out_once_it_is_consumed(tmp_path: Path) -> None:
    sensor = Sensor(
        tmp_path,
        "ROLLCALL_TOKEN=rce_one\nINSTALL_TOKEN=rce_one\nRM_TOKEN=rce_two\nRM_SERVER=https://x.example\n",
    )
    sensor.enroll(CREATED)
    text = sensor.path.read_text()
    assert "rce_one" not in text
    assert text.count("consumed during enrollment") == 2
    assert "RM_TOKEN=rce_two" in text
    assert "RM_TOKEN" in sensor.lines.warnings[0]


def test_the_tests_do_not_lean_on_the_developers_environment() -> None:
    names = {name for _, group in NAMES for name in group}
    assert not names & set(os.environ)
