"""The switches of `make` and of `python -m bench`."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from bench.__main__ import _parser
from bench.document import DOCUMENT, document
from infra.deploy import ROOT

MAKE = shutil.which("make") or "make"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What a run of make would do."""
    return subprocess.run(  # noqa: S603 - fixed arguments
        [MAKE, "--dry-run", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE", " on "])
def test_a_check_that_is_on_is_on(value: str) -> None:
    assert _parser().parse_args([f"--check={value}"]).check is True


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "False"])
def test_a_check_that_is_off_is_off(value: str) -> None:
    assert _parser().parse_args([f"--check={value}"]).check is False


def test_a_check_is_on_where_it_is_only_named() -> None:
    assert _parser().parse_args(["--check"]).check is True
    assert _parser().parse_args([]).check is False


@pytest.mark.parametrize("value", ["2", "maybe", "truee", "1 0", "-"])
def test_a_check_that_is_neither_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        _parser().parse_args([f"--check={value}"])
    assert refused.value.code == 2
    assert "CHECK must be 1, true, yes or on" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "false", "1", "maybe"])
def test_make_hands_its_check_to_the_benchmark_as_it_is(value: str) -> None:
    assert f"-m bench --check='{value}'" in make("bench", f"CHECK={value}").stdout


@pytest.mark.parametrize("value", ["moto", "real", ""])
def test_make_knows_its_engines(value: str) -> None:
    assert make("help", f"ENGINES={value}").returncode == 0


@pytest.mark.parametrize("value", ["reel", "0", "false", "1", "Real", "real off"])
def test_make_refuses_engines_that_do_not_exist(value: str) -> None:
    refused = make("help", f"ENGINES={value}")
    assert refused.returncode != 0
    assert f"ENGINES={value}: say moto or real" in refused.stderr


def test_results_are_put_below_the_last_heading() -> None:
    made = document("tables of today\n")
    assert made.endswith("\n## Results\n\ntables of today\n")
    before, _, _ = DOCUMENT.read_text("utf-8").partition("## Results")
    assert made.startswith(before)


@pytest.mark.parametrize("target", ["check", "test"])
def test_the_gate_does_every_step_of_the_benchmark(target: str) -> None:
    assert "-m bench --small" in make(target).stdout
