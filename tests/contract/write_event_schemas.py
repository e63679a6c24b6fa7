"""Writes the JSON Schema of every event: `python -m tests.contract.write_event_schemas`."""

import json
from pathlib import Path

from chalicelib.evidence.envelope import schemas

FOLDER = Path(__file__).parents[2] / "docs" / "events"


def rendered() -> dict[str, str]:
    """What the folder holds: the text of each file by its name."""
    return {
        f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas().items()
    }


def write(folder: Path = FOLDER) -> None:
    """Bring the folder up to date; files of events that are no more go away."""
    folder.mkdir(parents=True, exist_ok=True)
    files = rendered()
    for stale in folder.glob("*.schema.json"):
        if stale.name not in files:
            stale.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write()
