from pathlib import Path

import pytest

from chalicelib.release_manifest import Platform
from infra.errors import DeployError
from infra.publish_agent import measured


def made(folder: Path, name: str, content: bytes = b"binary") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_names_say_what_files_are_for(tmp_path: Path) -> None:
    names = ["linux-x86_64", "linux-arm64", "darwin-arm64", "windows-x86_64.exe"]
    found = measured([made(tmp_path, f"rollcall-agent-{name}") for name in names], [])
    assert sorted(map(str, found)) == [
        "darwin/arm64", "linux/arm64", "linux/x86_64", "windows/x86_64",
    ]  # fmt: skip
    (one,) = {file.binary for file in found.values()}
    assert (one.size, one.sha256[:8]) == (6, "9a3a45d0")


def test_an_option_says_it_for_any_name(tmp_path: Path) -> None:
    path = made(tmp_path, "a=b")
    assert list(measured([], [f"linux/aarch64={path}"])) == [Platform("linux", "arm64")]


@pytest.mark.parametrize(
    "name",
    ["agent", "rollcall-agent-linux", "rollcall-agent-linux-mips", "rollcall-agent-beos-x64"],
)
def test_a_name_that_does_not_say_it_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeployError, match="does not say what it is for"):
        measured([made(tmp_path, name)], [])


@pytest.mark.parametrize("text", ["", "linux/x86_64", "linux=x", "linux/mips=x", "linux/x86_64="])
def test_an_option_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(DeployError, match="say <os>/<arch>=<path>"):
        measured([], [text])


def test_two_files_for_one_platform_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path, "rollcall-agent-linux-x86_64")
    with pytest.raises(DeployError, match="two files are for linux/x86_64"):
        measured([path], [f"linux/amd64={path}"])


def test_a_file_that_is_absent_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="cannot be read"):
        measured([tmp_path / "rollcall-agent-linux-x86_64"], [])
    with pytest.raises(DeployError, match="empty"):
        measured([made(tmp_path, "rollcall-agent-linux-x86_64", b"")], [])
