from pathlib import Path

import pytest

from infra.reloading import changed, snapshot


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("app.py", "chalicelib/api/views.py", "chalicelib/install/install.sh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    return tmp_path


def written(checkout: Path, name: str) -> list[str]:
    before = snapshot(checkout)
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("another text")
    return changed(before, snapshot(checkout))


@pytest.mark.parametrize(
    "name",
    ["app.py", "chalicelib/api/views.py", "chalicelib/install/install.sh", "chalicelib/new.py"],
)
def test_a_source_that_is_written_is_seen(checkout: Path, name: str) -> None:
    assert written(checkout, name) == [name]


def test_a_source_that_is_removed_is_seen(checkout: Path) -> None:
    before = snapshot(checkout)
    (checkout / "chalicelib/api/views.py").unlink()
    assert changed(before, snapshot(checkout)) == ["chalicelib/api/views.py"]


@pytest.mark.parametrize(
    "name",
    [
        ".local/local.json",
        ".local/stack.json",
        ".local/run-1/cloud/x.py",
        "build/packages/x.zip",
        "build/dev/project/app.py",
        ".chalice/deployed/dev.json",
        "chalicelib/__pycache__/clock.cpython-311.pyc",
        "chalicelib/api/.views.py.swp",
        "tests/unit/test_x.py",
        "README.md",
    ],
)
def test_what_our_commands_and_editors_write_is_no_change(checkout: Path, name: str) -> None:
    assert written(checkout, name) == []
