"""What cannot be uploaded is refused on the host, at once and in one line."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
from rollcall_agent import sendable
from rollcall_agent.commands.upload import KINDS
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.file_form import FileForm
from rollcall_agent.sendable import check_metadata, content_type_of, filename_of, measure
from rollcall_agent.upload import Artifact

from chalicelib import fields
from chalicelib.flows import artifacts


def refusal(ask: Callable[[], object]) -> str:
    with pytest.raises(AgentError) as refused:
        ask()
    assert refused.value.exit_code is ExitCode.USAGE
    line = refused.value.line
    assert line.isprintable(), "one line, and nothing that moves a cursor"
    return line


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        before = Path.cwd()
        os.chdir(path.parent)  # the path of a socket must be short
        bound.bind(path.name)
        os.chdir(before)


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(5 * 1024**3)


NO_FILES: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.touch(), "It is empty"),
    (lambda path: path.mkdir(), "It is a folder"),
    (_fifo, "It is a pipe"),
    (_socket, "It is a socket"),
    (lambda path: path.symlink_to("/dev/zero"), "It is a device"),
    (lambda path: path.symlink_to("nowhere"), "a link that leads to no file"),
    (lambda path: path.symlink_to(path), "Cannot read"),
    (lambda path: path.symlink_to("."), "It is a folder"),
    (lambda _: None, "There is no such file"),
    (_sparse, "5368709120 bytes, and the control plane accepts at most 104857600 (100 MiB)"),
]


@pytest.mark.parametrize(("make", "words"), NO_FILES, ids=[words for _, words in NO_FILES])
def test_what_is_no_file_of_a_good_size_is_refused_unread(
    tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    path = tmp_path / "file"
    make(path)
    assert words in refusal(lambda: measure(path))


@pytest.mark.parametrize("name", ["x" * 300, "a\x00b", "file/below", "a\nb\x1b[2J"])
def test_a_path_that_leads_nowhere_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    refusal(lambda: measure(tmp_path / name))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    path.chmod(0)
    assert "Permission denied" in refusal(lambda: measure(path))


def test_of_the_largest_file_and_of_one_byte_the_size_is_good(tmp_path: Path) -> None:
    for size in (1, sendable.LARGEST):
        path = tmp_path / str(size)
        with path.open("wb") as file:
            file.truncate(size)
        assert measure(path).size == size
    with path.open("ab") as file:
        file.write(b"x")
    assert "at most" in refusal(lambda: measure(path))


def _rewrite(path: Path) -> None:
    path.write_bytes(b"other")
    os.utime(path, (1, 1))


def _replace(path: Path) -> None:
    other = path.with_name("new")
    other.write_bytes(b"other")
    other.replace(path)


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "grown": lambda path: path.write_bytes(b"first and more"),
    "shrunk": lambda path: path.write_bytes(b"f"),
    "emptied": lambda path: path.write_bytes(b""),
    "rewritten": _rewrite,
    "replaced": _replace,
    "gone": Path.unlink,
    "a folder now": _make_folder,
    "a pipe now": _make_pipe,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changed_after_it_was_read_is_not_sent(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    file = measure(path)
    assert not file.has_changed()
    change(path)
    assert file.has_changed()
    form = FileForm({}, file, "text/plain", lambda _: None)
    assert "changed while it was being uploaded" in refusal(form.open)


def test_a_file_that_shrinks_while_it_is_sent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with FileForm({}, measure(path), "text/plain", lambda _: None).open() as file:
        assert file.read(4) == b"0123"
        os.truncate(path, 4)
        assert "changed while" in refusal(lambda: file.read(4))


def test_a_file_that_grows_while_it_is_sent_goes_as_it_was_announced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with FileForm({}, measure(path), "text/plain", lambda _: None).open() as file:
        with path.open("ab") as log:
            log.write(b"more")
        assert file.read() == b"0123456789"


def test_a_file_that_is_written_to_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 20_000_000)
    done = threading.Event()

    def write() -> None:
        with path.open("ab", buffering=0) as log:
            while not done.is_set():
                log.write(b"one more line\n")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert "changed while" in refusal(lambda: measure(path))
    finally:
        done.set()
        writer.join()


NO_NAMES = {
    "a newline": "a\nb", "a return": "a\rb", "a tab": "a\tb", "an escape": "a\x1b[2Jb",
    "DEL": "a\x7f", "C1": "a\x85b", "zero width": "a\u200bb", "right to left": "a\u202egpj.exe",
    "BOM": "\ufeffa",
    "line separator": "a\u2028b", "blanks": "   ", "a backslash": "a\\b", "isolate": "a\u2066b",
}  # fmt: skip


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
def test_a_name_that_no_artifact_can_have_is_refused_before_the_file_is_read(
    tmp_path: Path, name: str
) -> None:
    missing = tmp_path / name
    line = refusal(lambda: Artifact.of(missing, "state_snapshot", None, {}))
    assert line.startswith("The name of")
    assert "rename the file" in line


@pytest.mark.parametrize(
    ("name", "kept"),
    [("dump.json", "dump.json"), ("ünïcode 東京.tgz", "ünïcode 東京.tgz"), ("a b", "a b"),
     (os.fsdecode(b"\xff.bin"), "?.bin"), ("...x", "...x"), ("x" * 255, "x" * 255)],
)  # fmt: skip
def test_a_good_name_is_kept_and_the_control_plane_takes_it(name: str, kept: str) -> None:
    assert filename_of(Path("/tmp") / name) == kept  # noqa: S108 - nothing is written there
    assert fields.convert(kept, fields.Filename) == kept


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"Case": "7"}, "'Case'"), ({"a b": "x"}, "'a b'"), ({"": "x"}, "''"), ({"é": "x"}, "'é'"),
        ({"-a": "x"}, "'-a'"), ({"k" * 64: "x"}, "1 to 63"), ({"a\n": "x"}, "the key"),
        ({"case": "x" * 129}, "value of case is longer than 128"),
        ({"case": "a\nb"}, "value of case holds"), ({"case": "a\x00"}, "value of case holds"),
        ({"case": "\u202e"}, "value of case holds"), ({"case": "\udcff"}, "value of case holds"),
        ({f"k{number}": "v" for number in range(17)}, "at most 16"),
    ],
)  # fmt: skip
def test_metadata_that_the_control_plane_would_not_take_is_refused(
    tmp_path: Path, metadata: dict[str, str], words: str
) -> None:
    line = refusal(lambda: Artifact.of(tmp_path / "missing", "state_snapshot", None, metadata))
    assert words in line


def test_the_limits_are_the_control_planes() -> None:
    assert sendable.LARGEST == artifacts.LARGEST
    assert set(sendable.CONTENT_TYPES) == artifacts.CONTENT_TYPES
    assert set(KINDS) == set(get_args(artifacts.Kind))
    most = {f"k{number}/a.b_c-d": "v" * 128 for number in range(16)}
    check_metadata(most)
    assert fields.convert(most, fields.Metadata) == most
    check_metadata({"a" * 63: ""})
    assert fields.convert({"a" * 63: ""}, fields.Metadata)


def test_a_content_type_is_written_as_the_control_plane_writes_it() -> None:
    assert content_type_of(" Text/Plain ") == "text/plain"
    line = refusal(lambda: content_type_of("text/html"))
    assert "application/gzip, application/json" in line
