"""Providers on the loopback are admitted by a setting that no deployed stage can have."""

import re

import pytest

from chalicelib import settings
from chalicelib.settings import LOOPBACK_STAGE, SettingMissingError
from infra import template
from infra.errors import DeployError
from infra.project import environment
from infra.target import Target

ACCOUNT = {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
SETTING = "ROLLCALL_OIDC_LOOPBACK_CA"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    outputs = dict.fromkeys(template.load()["Outputs"], "x")
    outputs |= {"ArtifactRetentionDays": "1", "PresenceBucketSeconds": "60"}
    outputs["EvidenceRetentionDays"] = "1"
    for name, value in environment(Target("prod", ACCOUNT), outputs).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("name", ["prod", "dev", "local", "functional", "loopback"])
def test_a_stage_that_can_be_deployed_does_not_start_with_the_setting(
    stage: pytest.MonkeyPatch, name: str
) -> None:
    stage.setenv("ROLLCALL_STAGE", name)
    assert settings.load.__wrapped__().oidc_loopback_ca is None
    stage.setenv(SETTING, "/bundle.pem")
    with pytest.raises(SettingMissingError, match=SETTING):
        settings.load.__wrapped__()


def test_the_stage_of_the_tests_has_the_setting(stage: pytest.MonkeyPatch) -> None:
    stage.setenv("ROLLCALL_STAGE", LOOPBACK_STAGE)
    stage.setenv(SETTING, "/bundle.pem")
    assert settings.load.__wrapped__().oidc_loopback_ca == "/bundle.pem"


def test_the_stage_of_the_tests_cannot_be_deployed() -> None:
    with pytest.raises(DeployError, match="cannot be a stage"):
        Target(LOOPBACK_STAGE, ACCOUNT)
    allowed = template.load()["Parameters"]["Stage"]["AllowedPattern"]
    assert re.search(allowed, "prod")
    assert not re.search(allowed, LOOPBACK_STAGE)


def test_the_deployer_never_renders_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SETTING, "/bundle.pem")
    outputs = dict.fromkeys(template.load()["Outputs"], "x")
    rendered = environment(Target("prod", {**ACCOUNT, SETTING: "/bundle.pem"}), outputs)
    assert rendered["ROLLCALL_STAGE"] == "prod"
    assert SETTING not in rendered
    assert "/bundle.pem" not in rendered.values()
