"""What a file with a token may look like: the same for a file, for stdin and for a variable."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.secret import Secret
from rollcall_agent.settings import Settings
from rollcall_agent.token_sources import LARGEST_FILE, find_token

from tests.unit.agent.fakes import Lines
from tests.vectors.reading import TOKEN_FILE_REASONS, TOKEN_FILES, Case, content_of, name_of

NOTHING = Settings.load(Path("/nonexistent/agent.env"), {})


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def refusal(settings: Settings, **source: object) -> AgentError:
    with pytest.raises(AgentError) as refused:
        find_token(settings, Lines(), **source)  # type: ignore[arg-type]
    return refused.value


@pytest.mark.parametrize("case", TOKEN_FILES, ids=name_of)
def test_a_token_is_read_or_refused_as_the_vectors_say(tmp_path: Path, case: Case) -> None:
    content = content_of(case)
    path = written(tmp_path, content)
    stdin = io.TextIOWrapper(io.BytesIO(content))
    if "refused" not in case:
        assert find_token(NOTHING, Lines(), token_file=path) == Secret(case["token"])
        assert find_token(NOTHING, Lines(), from_stdin=True, stdin=stdin) == Secret(case["token"])
        return
    number, reason = case["refused"]["line"], TOKEN_FILE_REASONS[case["refused"]["reason"]]
    for source, error in (
        (path, refusal(NOTHING, token_file=path)),
        ("stdin", refusal(NOTHING, from_stdin=True, stdin=stdin)),
    ):
        place = source if number is None else f"{source}, line {number}"
        assert error.line.startswith(f"{place}: {reason}. Next: ")
        assert error.exit_code is ExitCode.USAGE
        assert "rce_" not in error.line


@pytest.mark.parametrize("value", ["'rce_a'", '"rce_a"', " rce_a\r", "\ufeffrce_a", "rce_a # x"])
def test_a_variable_is_read_like_a_file(value: str) -> None:
    settings = Settings.load(NOTHING.path, {"ROLLCALL_TOKEN": value})
    assert find_token(settings, Lines()) == Secret("rce_a")


def test_a_wrong_variable_is_named_and_not_shown() -> None:
    error = refusal(Settings.load(NOTHING.path, {"RM_TOKEN": "rce_a rce_b"}))
    assert error.line.startswith("the environment's RM_TOKEN, line 1: there are blanks")
    assert "rce_" not in error.line


def test_a_file_that_is_missing_too_large_or_unreadable_is_refused(tmp_path: Path) -> None:
    large = written(tmp_path, b"#" * (LARGEST_FILE + 1))
    assert "too large" in refusal(NOTHING, token_file=large).line
    for path in (tmp_path / "missing", tmp_path, large / "below"):
        error = refusal(NOTHING, token_file=path)
        assert (error.exit_code, str(path) in error.line) == (ExitCode.USAGE, True)
    # A loop of links is one of the errors that may pass, and root meets it as well.
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert refusal(NOTHING, token_file=tmp_path / "loop").exit_code is ExitCode.UNREADY


def test_a_token_in_the_place_of_its_files_name_is_not_repeated() -> None:
    error = refusal(NOTHING, token_file=Path("rce_secret"))
    assert error.exit_code is ExitCode.USAGE
    assert "secret" not in error.line


def test_a_closed_stdin_holds_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)
    error = refusal(NOTHING, from_stdin=True)
    assert (error.exit_code, "stdin is closed" in error.line) == (ExitCode.USAGE, True)
