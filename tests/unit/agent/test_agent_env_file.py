from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollcall_agent.env_file import LARGEST_FILE, EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.private_files import exclusive, make_parents

from tests.vectors.reading import ENV_FILE_REASONS, ENV_FILES, Case, content_of, name_of

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
KEYS = st.from_regex(r"[A-Z_][A-Z0-9_]{0,12}", fullmatch=True)
VALUES = st.from_regex(r"[A-Za-z0-9_.:/@%+=~-]{1,30}", fullmatch=True)


def test_the_documented_example_before_and_after() -> None:
    file = EnvFile("SENSOR_ID=sensor-1\nROLLCALL_TOKEN=rce_x\nBACKEND_URL=https://b.local\n")

    file.comment_out("ROLLCALL_TOKEN", "ROLLCALL_TOKEN consumed during enrollment")
    file.set("ROLLCALL_AGENT_API_KEY", "rca_y")

    assert file.text() == (
        "SENSOR_ID=sensor-1\n"
        "# ROLLCALL_TOKEN consumed during enrollment\n"
        "BACKEND_URL=https://b.local\n"
        "ROLLCALL_AGENT_API_KEY=rca_y\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "KEY=new\n"),
        ("OTHER=1", "OTHER=1\nKEY=new\n"),
        ("KEY=old\nOTHER=1\n", "KEY=new\nOTHER=1\n"),
        ("KEY=old", "KEY=new"),
        ("KEY=old\r\nOTHER=1\r\n", "KEY=new\r\nOTHER=1\r\n"),
        ("  export KEY = 'old'\n", "export KEY=new\n"),
        ("KEY=1\n# KEY=2\nKEY=3\n", "KEY=new\n# KEY=2\n"),
        ("what is this\n\n\tKEY=old\n", "what is this\n\nKEY=new\n"),
        ("MYKEY=1\nKEY_2=2\n", "MYKEY=1\nKEY_2=2\nKEY=new\n"),
        ("A=1\fKEY=0\n", "A=1\fKEY=0\nKEY=new\n"),
    ],
)
def test_a_value_is_set_in_place_and_nothing_else_moves(before: str, after: str) -> None:
    file = EnvFile(before)
    file.set("KEY", "new")
    assert file.text() == after


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("KEY=v\n", "v"),
        ("KEY=\n", None),
        ("KEY='v w'\n", "v w"),
        ('KEY="v"\r\n', "v"),
        ("KEY='\n", "'"),
        ("KEY=1\nKEY=2\n", "2"),
        ("KEY=a=b\n", "a=b"),
        ("# KEY=v\n", None),
        ("KEY\n", None),
    ],
)
def test_values_are_read_as_a_shell_or_systemd_reads_them(text: str, value: str | None) -> None:
    assert EnvFile(text).get("KEY") == value


@pytest.mark.parametrize(
    "value", ["a\nROLLCALL_ALLOW_HTTP=1", "a b", "$(id)", "a#b", "'", "é", "\0"]
)
def test_a_value_that_could_mean_something_else_is_never_written(value: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        EnvFile().set("KEY", value)


@given(st.text(), KEYS, VALUES)
def test_what_is_set_is_read_back_and_foreign_lines_stay(text: str, key: str, value: str) -> None:
    file = EnvFile(text)
    others = {name: file.get(name) for name in ("OTHER", "A", "B") if name != key}

    file.set(key, value)

    assert EnvFile(file.text()).get(key) == value
    assert {name: EnvFile(file.text()).get(name) for name in others} == others


@given(st.text(), KEYS)
def test_removing_what_is_not_there_changes_no_byte(text: str, key: str) -> None:
    file = EnvFile(text)
    if file.get(key) is None and f"{key}" not in text:
        file.remove(key)
        assert file.text() == text


@given(st.binary(max_size=300))
def test_every_byte_of_a_file_that_is_read_survives_saving(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "agent.env"
    path.write_bytes(content)
    try:
        EnvFile.load(path).save(path)
    except AgentError:
        expected = content
    else:
        expected = content.removeprefix(BYTE_ORDER_MARK)
    assert path.read_bytes() == expected


@pytest.mark.parametrize("case", ENV_FILES, ids=name_of)
def test_a_file_is_read_or_refused_as_the_vectors_say(tmp_path: Path, case: Case) -> None:
    path = tmp_path / "agent.env"
    content = content_of(case)
    path.write_bytes(content)
    if "refused" not in case:
        file = EnvFile.load(path)
        assert {name: file.get(name) for name in case["values"]} == case["values"]
        return
    with pytest.raises(AgentError) as refused:
        EnvFile.load(path)
    number, reason = case["refused"]["line"], ENV_FILE_REASONS[case["refused"]["reason"]]
    assert refused.value.line.startswith(f"{path}, line {number}: {reason}. Next: ")
    assert refused.value.exit_code is ExitCode.USAGE
    assert "rce_" not in refused.value.line
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("\ufeffA=1\n", "A=1\nROLLCALL_AGENT_ID=agt_1\n"),
        ("\ufeffROLLCALL_AGENT_ID='x' # old\r\n\r\n", "ROLLCALL_AGENT_ID=agt_1\r\n\r\n"),
        ('FOO="open\nset A=b\n; c', 'FOO="open\nset A=b\n; c\nROLLCALL_AGENT_ID=agt_1\n'),
        ("FOO=a\rb\x07\u200b\n", "FOO=a\rb\x07\u200b\nROLLCALL_AGENT_ID=agt_1\n"),
    ],
)
def test_a_write_drops_a_byte_order_mark_and_keeps_other_lines_as_they_are(
    tmp_path: Path, before: str, after: str
) -> None:
    path = tmp_path / "agent.env"
    path.write_bytes(before.encode())
    file = EnvFile.load(path)
    file.set("ROLLCALL_AGENT_ID", "agt_1")
    file.save(path)
    assert path.read_bytes() == after.encode()


def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(AgentError, match="not a regular file") as refused:
            EnvFile.load(path)
        assert refused.value.exit_code is ExitCode.USAGE


def test_the_file_is_for_its_owner_only_whatever_it_was_before(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.write_text("A=1\n")
    path.chmod(0o666)

    EnvFile.load(path).save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["agent.env"]


def test_a_symlinked_file_stays_a_symlink(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    target, link = tmp_path / "data" / "real.env", tmp_path / "agent.env"
    target.write_text("A=1\n")
    link.symlink_to(target)

    EnvFile("A=2\n").save(link)

    assert link.is_symlink()
    assert target.read_text() == "A=2\n"


def test_a_planted_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / ".agent.env.new").symlink_to(victim)

    EnvFile("A=1\n").save(tmp_path / "agent.env")

    assert victim.read_text() == "untouched"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.mkdir()

    with pytest.raises(OSError, match="directory"):
        EnvFile("KEY=secret\n").save(path)

    assert [found.name for found in tmp_path.iterdir()] == ["agent.env"]


def test_missing_folders_are_made_for_the_owner_only(tmp_path: Path) -> None:
    make_parents(tmp_path / "a" / "b" / "agent.env")
    assert [stat.S_IMODE((tmp_path / p).stat().st_mode) for p in ("a", "a/b")] == [0o700, 0o700]


def test_a_second_writer_is_turned_away_and_nothing_stays_locked(tmp_path: Path) -> None:
    with exclusive(tmp_path), pytest.raises(AgentError) as refused, exclusive(tmp_path):
        pass
    assert refused.value.exit_code is ExitCode.BUSY
    with exclusive(tmp_path):
        assert [found.name for found in tmp_path.iterdir()] == []


def test_a_file_that_is_no_env_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    path.write_bytes(b"x" * (LARGEST_FILE + 1))
    with pytest.raises(AgentError, match="too large"):
        EnvFile.load(path)
