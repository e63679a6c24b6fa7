"""The fingerprint of the release key ends up in a script that runs as root."""

import pytest

from chalicelib import settings
from chalicelib.settings import SettingMissingError
from tests.contract import bare

SETTING = "ROLLCALL_RELEASE_KEY_SHA256"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in bare.SETTINGS.items():
        if name.startswith("ROLLCALL_"):
            monkeypatch.setenv(name, value)
    monkeypatch.delenv(SETTING, raising=False)
    return monkeypatch


def test_a_stage_may_have_none(stage: pytest.MonkeyPatch) -> None:
    assert settings.load.__wrapped__().release_key_sha256 is None
    stage.setenv(SETTING, "")
    assert settings.load.__wrapped__().release_key_sha256 is None


def test_it_is_taken_as_it_is(stage: pytest.MonkeyPatch) -> None:
    stage.setenv(SETTING, "0a" * 32)
    assert settings.load.__wrapped__().release_key_sha256 == "0a" * 32


@pytest.mark.parametrize("bad", ["x", "0A" * 32, "0a" * 31, "0a" * 32 + "\n", '"; id; "'])
def test_what_is_no_fingerprint_stops_the_start(stage: pytest.MonkeyPatch, bad: str) -> None:
    stage.setenv(SETTING, bad)
    with pytest.raises(SettingMissingError, match=SETTING):
        settings.load.__wrapped__()
