"""What came back from a request, classified in one place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

PROBLEM_TYPE: Final = "application/problem+json"
# A server (or a broken proxy) must not be able to put a command to sleep for a year.
LONGEST_RETRY_AFTER: Final = 3600.0
_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500


class NoAnswerError(Exception):
    """No complete answer arrived; whether the request was processed is not known.

    Args:
        reason: what happened.
        sent: whether the request may have arrived.
        lasts: whether another attempt would fail in the same way.
    """

    def __init__(self, reason: str, *, sent: bool = True, lasts: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.lasts = lasts


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer.

    Attributes:
        status: the HTTP status.
        body: the JSON object, or None where the body was anything else.
        problem: whether the body says of itself that it is problem details; a proxy's page is not.
        retry_after: seconds that the server asks to wait for.
        clock_skew: seconds that the server's clock is ahead of this machine's; negative where it is
            behind; None where the server did not say.
    """

    status: int
    body: dict[str, Any] | None = None
    problem: bool = False
    retry_after: float | None = None
    clock_skew: float | None = None

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

    def text(self, name: str) -> str | None:
        """Return a string of the body, or None where it is missing or something else."""
        value = (self.body or {}).get(name)
        return value if isinstance(value, str) else None


def read_answer(
    status: int,
    content_type: str,
    content: bytes,
    retry_after: float | None,
    clock_skew: float | None = None,
) -> Answer:
    """Build an answer from the parts of an HTTP response."""
    try:
        # RecursionError: a deeply nested body is just another unusable one.
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        parsed = None
    body = parsed if isinstance(parsed, dict) else None
    problem = content_type.split(";", maxsplit=1)[0].strip().lower() == PROBLEM_TYPE
    return Answer(status, body, problem, retry_after, clock_skew)


def measure_skew(date: str | None, began: float, ended: float) -> float | None:
    """Compare the server's clock with this machine's.

    Args:
        date: the Date header, which knows whole seconds.
        began: the wall clock when the request was sent.
        ended: the wall clock when the answer was there.

    Returns:
        Seconds that the server is ahead, at least; None where it did not say.
    """
    moment = _http_date(date or "")
    if moment is None:
        return None
    if moment > ended:
        return moment - ended
    return min(moment + 1.0 - began, 0.0)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Read a Retry-After header, given in seconds or as an HTTP date.

    Args:
        value: the header's text, or None where there was none.
        now: the wall clock in seconds since the epoch.

    Returns:
        Seconds from now, never negative and bounded; None where it says nothing usable.
    """
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        # A longer number is over the bound anyway, and int() refuses absurd ones.
        return min(float(text[:12]), LONGEST_RETRY_AFTER)
    moment = _http_date(text)
    return None if moment is None else min(max(moment - now, 0.0), LONGEST_RETRY_AFTER)


def _http_date(text: str) -> float | None:
    """An HTTP date in seconds since the epoch; None where it is none."""
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp()
