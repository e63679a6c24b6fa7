"""Watches the whole functional suite for secrets in what is emitted, stored or shown.

Our own secrets are known by their shape. Those that callers choose (passwords, idempotency keys,
machine ids, client secrets) are canaries here: the tests give them the word `MARK`.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

from botocore import handlers

MARK = "canary"
"""Stands in every secret that a test chooses, and nowhere else."""

_SHAPES = {
    "an opaque secret": re.compile(r"rc[a-z]_[0-9a-v]{20}_[0-9a-v]{20}_[0-9a-v]{59}"),
    "a runtime key": re.compile(r"rca_[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{100,}\.[A-Za-z0-9_-]{20,}"),
    "a certificate request": re.compile(r"BEGIN (NEW )?CERTIFICATE REQUEST"),
    "a private key": re.compile(r"BEGIN [A-Z ]*PRIVATE KEY"),
    "a canary": re.compile(MARK),
}
_BINARY = re.compile(r'"B": ?"([A-Za-z0-9+/=]+)"')

# The answers whose very point is a secret that is shown once.
_SHOWING = (
    re.compile(r"POST /api/v1/agent-enrollment/(tokens|exchange)"),
    re.compile(r"POST /api/(v1/)?auth/(login|switch)"),
    re.compile(r"GET /api/v1/auth/oidc/.*"),
    re.compile(r"POST /api/v1/(me/tokens|invitations|organization-keys)"),
    re.compile(r"POST /api/v1/organization-keys/[^/]+/rotate"),
    re.compile(r"POST /api/v1/agents/[^/]+/(split|runtime-key/rotate)"),
)


@dataclass
class Watch:
    """What was found where it must not be."""

    found: list[str] = field(default_factory=list)
    looked: int = 0

    def look(self, place: str, text: str) -> None:
        """Look for secrets in a text; a find names the kind and the place, never the secret."""
        self.looked += 1
        self.found += [f"{kind} in {place}" for kind in kinds_in(text)]

    def look_at_request(self, operation: str, body: object) -> None:
        """Look at what AWS is sent; numbers that DynamoDB keeps as bytes are decoded."""
        text = body.decode("utf-8", "replace") if isinstance(body, bytes | bytearray) else body
        if not isinstance(text, str):
            return
        self.look(f"the request {operation}", text)
        for match in _BINARY.finditer(text):
            self.look(f"bytes of the request {operation}", _decoded(match[1]))

    def look_at_answer(self, method: str, path: str, text: str) -> None:
        """Look at an answer of the API, unless it is there to show a secret."""
        route = f"{method} {path.partition('?')[0]}"
        if not any(shown.fullmatch(route) for shown in _SHOWING):
            self.look(f"the answer to {route}", text)

    def take(self) -> list[str]:
        """What was found since the last time."""
        found, self.found = self.found, []
        return found


def kinds_in(text: str) -> list[str]:
    """The kinds of secrets in a text."""
    return [kind for kind, shape in _SHAPES.items() if shape.search(text)]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text).decode("utf-8", "replace")
    except binascii.Error:
        return ""


watch = Watch()


def install() -> None:
    """Look at every request that any client of this process sends to AWS from now on."""

    def note(model: Any, params: dict[str, Any], **_: Any) -> None:
        watch.look_at_request(model.name, params.get("body"))

    # Every session registers botocore's own handlers, and with them ours.
    handlers.BUILTIN_HANDLERS.append(("before-call", note))
