"""The vectors as test cases."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, Final

Case = dict[str, Any]


def _document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(__file__).parent / f"{name}.json").read_bytes())
    return found


def content_of(case: Case) -> bytes:
    """Return the bytes of a case: in base64 where they are no text."""
    if "base64" in case:
        return base64.b64decode(case["base64"])
    return str(case["content"]).encode()


def name_of(case: Case) -> str:
    """Return what pytest calls a case."""
    return str(case["name"])


ENV_FILES: Final[list[Case]] = _document("env_file")["cases"]
ENV_FILE_REASONS: Final[dict[str, str]] = _document("env_file")["reasons"]
TOKEN_FILES: Final[list[Case]] = _document("token_file")["cases"]
TOKEN_FILE_REASONS: Final[dict[str, str]] = _document("token_file")["reasons"]
