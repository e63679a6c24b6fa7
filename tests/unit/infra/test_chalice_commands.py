"""What `chalice …` does in the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from chalice import Chalice

from infra.application import CHALICE
from infra.chalice_commands import ROOT, Typed, answer, parsed

TRACKED = json.loads((ROOT / ".chalice" / "config.json").read_text("utf-8"))["stages"]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "of the shell")  # so that a region is taken back
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr(Chalice, "on_s3_event", Chalice.on_s3_event)  # replaced for a package


@pytest.mark.parametrize(
    ("typed", "command", "stage"),
    [
        ("deploy", "deploy", "dev"),
        ("--debug deploy --stage prod", "deploy", "prod"),
        ("delete --profile x --stage prod", "delete", "prod"),
        ("local --port 1", "local", "dev"),
        ("dev plan --stage prod", "dev plan", "prod"),
        ("package --stage=local out", "package", "local"),
    ],
)
def test_a_command_is_read_as_chalice_reads_it(typed: str, command: str, stage: str) -> None:
    found = parsed(typed.split())
    assert (found.command, found.stage) == (command, stage)
    assert isinstance(found, Typed)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("deploy", "no region: set AWS_REGION"),
        ("deploy --stage Foo", "'Foo' cannot be a stage"),
        ("deploy --profile nosuch", "nosuch"),
        ("deploy --api-gateway-stage x", "leave out --api-gateway-stage"),
        ("deploy --autogen-policy", "leave out --autogen-policy"),
        ("deploy --no-autogen-policy", "leave out --autogen-policy"),
        ("deploy --connection-timeout 3", "leave out --connection-timeout"),
        ("delete --stage prod", "make destroy STAGE=prod"),
        ("package --stage prod out", "chalice --project-dir build/prod/project package"),
        ("dev plan --stage prod", "make deploy STAGE=prod"),
        ("dev appgraph --stage prod", "--stage local"),
        ("dev plan", "there is no region: set AWS_REGION"),
        ("package --profile nosuch out", "nosuch"),
        ("dev appgraph --profile nosuch", "nosuch"),
        ("dev plan --profile nosuch", "nosuch"),
        ("local --stage prod", "leave out --stage, or say dev or local"),
    ],
)
def test_what_chalice_alone_cannot_do_is_refused_in_one_line(typed: str, said: str) -> None:
    with pytest.raises(click.ClickException) as refused:
        answer(typed.split())
    assert said in refused.value.message
    assert "\n" not in refused.value.message


@pytest.mark.parametrize("stage", TRACKED)
def test_what_only_looks_goes_on_with_a_tracked_stage(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(["dev", "appgraph", "--stage", stage])
    assert "is an example" in capsys.readouterr().err


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_an_unknown_profile_is_refused_with_a_region_too(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "eu-west-1")
    with pytest.raises(click.ClickException, match="nosuch"):
        answer(["package", "--profile", "nosuch", "out"])


def test_a_plan_without_credentials_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with pytest.raises(click.ClickException) as refused:
        answer(["dev", "plan"])
    assert refused.value.message.endswith("there are no credentials of one")


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config"
    file.write_text("[default]\nregion = eu-north-1\n[profile other]\nregion = eu-south-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("typed", "environ", "region"),
    [
        ("package out", {}, "eu-north-1"),
        ("package --profile other out", {}, "eu-south-1"),
        ("package out", {"AWS_PROFILE": "other"}, "eu-south-1"),
        ("package out", {"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ("package out", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ("package out", {"AWS_REGION": "a", "AWS_DEFAULT_REGION": "b"}, "a"),
        ("package --pkg-format terraform out", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ("dev appgraph", {"AWS_REGION": "eu-west-1"}, "eu-west-1"),
    ],
)
def test_the_region_is_found_as_for_a_deployment(
    typed: str, environ: dict[str, str], region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    answer(typed.split())
    assert os.environ["AWS_DEFAULT_REGION"] == region


@pytest.mark.parametrize("typed", ["package out", "package --single-file out", "dev appgraph"])
def test_what_only_looks_needs_no_region(typed: str) -> None:
    answer(typed.split())
    assert os.environ["AWS_DEFAULT_REGION"] == "us-east-1"


def test_a_package_says_what_it_leaves_out(capsys: pytest.CaptureFixture[str]) -> None:
    answer(["package", "out"])
    assert "Left out: the bucket notification that starts verify_upload" in capsys.readouterr().err


def chalice(*typed: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", CHALICE, *typed],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_chalice_says_the_line_and_nothing_else() -> None:
    done = chalice("deploy", "--stage", "prod")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: whether stage prod exists cannot be told: no region")


@pytest.mark.parametrize("stage", [*TRACKED, "nosuch"])
def test_models_are_generated_for_any_stage(stage: str) -> None:
    done = chalice("generate-models", "--stage", stage)
    assert done.returncode == 0, done.stderr
    assert "/api/v1/agents" in json.loads(done.stdout)["paths"]


@pytest.mark.parametrize("stage", TRACKED)
def test_a_tracked_stage_has_every_setting(stage: str) -> None:
    done = chalice("dev", "appgraph", "--stage", stage)
    assert done.returncode == 0, done.stderr
    assert "verify_upload" in done.stdout


def imported(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "import app"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_app_is_imported_without_any_setting() -> None:
    done = imported()
    assert done.returncode == 0, done.stderr


def test_a_function_without_its_settings_does_not_start() -> None:
    done = imported(AWS_LAMBDA_FUNCTION_NAME="rollcall-prod-api_handler")
    assert done.returncode != 0
    assert "SettingMissingError: ROLLCALL_STAGE is not set" in done.stderr
