"""One spelling for each JSON value: what is hashed must not depend on who writes it down."""

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """JSON with sorted members, without spaces, with everything beyond ASCII escaped."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def digest_of(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    """The SHA-256 of a value's one spelling."""
    return hashlib.sha256(canonical(value)).digest()
