from pathlib import Path

from tests.contract.write_event_schemas import FOLDER, rendered, write


def test_the_schemas_in_the_repository_are_those_of_the_code() -> None:
    written = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
    assert written == rendered(), "run: python -m tests.contract.write_event_schemas"


def test_the_writer_leaves_nothing_stale(tmp_path: Path) -> None:
    (tmp_path / "agent.gone.schema.json").write_text("{}", "utf-8")
    (tmp_path / "README.md").write_text("kept", "utf-8")
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*rendered(), "README.md"}
