"""Writes the JSON Schema of every event: `python -m tests.contract.write_event_schemas`."""

import json
from pathlib import Path
from typing import Any

from chalicelib.evidence.envelope import schemas

FOLDER = Path(__file__).parents[2] / "docs" / "events"


def rendered() -> dict[str, str]:
    """What the folder holds: the text of each file by its name."""
    found = schemas()
    files = {
        f"{name}.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in found.items()
    }
    return {**files, "index.md": _index(found)}


def _index(found: dict[str, dict[str, Any]]) -> str:
    """Every event with its meaning and its schema, on one page."""
    lines = [
        "# Every event",
        "",
        "Made by `make schemas` from the code; what an event looks like and what is promised of it",
        "stands in [events.md](../events.md).",
        "",
        "| event | version | |",
        "|---|---|---|",
    ]
    for name, schema in found.items():
        version = schema["properties"]["version"]["const"]
        said = schema["description"].splitlines()[0].replace("|", "/")
        lines.append(f"| [`{name}`]({name}.schema.json) | {version} | {said} |")
    return "\n".join(lines) + "\n"


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
