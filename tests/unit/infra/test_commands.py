import sys

import pytest

from infra.__main__ import COMMANDS, main


def test_the_commands_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in COMMANDS)


@pytest.mark.parametrize("argv", [[], ["nothing"]])
def test_a_wrong_command_is_an_error(argv: list[str]) -> None:
    assert main(argv) == 2


def test_a_command_imports_only_its_own_module(capsys: pytest.CaptureFixture[str]) -> None:
    sys.modules.pop("infra.destroy", None)
    with pytest.raises(SystemExit) as ended:
        main(["deploy", "--help"])
    assert ended.value.code == 0
    assert "infra.destroy" not in sys.modules
    assert "--stage" in capsys.readouterr().out


def test_a_wrong_stage_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert main(["destroy", "--stage", "NO"]) == 1
    assert "cannot be a stage" in capsys.readouterr().out
