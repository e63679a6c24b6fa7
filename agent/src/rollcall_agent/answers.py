"""What came back from a request, classified in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

PROBLEM_TYPE: Final = "application/problem+json"
# The only two answers on which an agent may give its key up (see docs/agent.md).
ENDING_CODES: Final = frozenset({"key_revoked", "key_superseded"})
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
_UNAUTHORIZED: Final = 401
_SERVER_ERROR: Final = 500


class NoAnswerError(Exception):
    """No complete answer arrived.

    Attributes:
        arrived: Whether the request may have been processed; False only where it is certain that
            the control plane never saw it.
    """

    def __init__(self, reason: str, *, arrived: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.arrived = arrived


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer.

    Attributes:
        status: The HTTP status.
        body: The JSON object, or None where the body was anything else.
        problem: Whether the body says of itself that it is problem details. A proxy's page and
            API Gateway's own ``{"message": ...}`` are not, so their 401 never costs a key.
        retry_after: Seconds that the server asks to wait for.
    """

    status: int
    body: Mapping[str, object] | None = None
    problem: bool = False
    retry_after: float | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the status says yes."""
        return 200 <= self.status < 300  # noqa: PLR2004

    @property
    def code(self) -> str | None:
        """The stable code of a refusal by the control plane itself."""
        if not self.problem or self.body is None or self.succeeded:
            return None
        code = self.body.get("code")
        return code if isinstance(code, str) else None

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in _TRANSIENT_STATUSES or self.status >= _SERVER_ERROR

    @property
    def ends_identity(self) -> bool:
        """Whether the control plane itself says that this key will never work again."""
        return self.status == _UNAUTHORIZED and self.code in ENDING_CODES

    def text(self, name: str) -> str | None:
        """Return a string of the body, or None where it is missing or something else."""
        value = (self.body or {}).get(name)
        return value if isinstance(value, str) else None

    def number(self, name: str, low: float, high: float) -> float | None:
        """Return a number of the body that lies within the bounds, else None."""
        value = (self.body or {}).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if low <= value <= high else None

    def moment(self, name: str) -> float | None:
        """Return a time of the body in seconds since the epoch, or None where there is none."""
        try:
            found = datetime.fromisoformat(self.text(name) or "")
            # Without a zone it would be read as this host's own, which no control plane means.
            return found.timestamp() if found.tzinfo is not None else None
        except (ValueError, OverflowError):
            return None


def read_answer(
    status: int, content_type: str, content: bytes, retry_after: float | None
) -> Answer:
    """Build an answer from the parts of an HTTP response."""
    try:
        # RecursionError: a deeply nested body is just another unusable one.
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    body = parsed if isinstance(parsed, dict) else None
    problem = content_type.split(";", maxsplit=1)[0].strip().lower() == PROBLEM_TYPE
    return Answer(status, body, problem, retry_after)
