"""Tags of a REST API, of which moto knows only those of its stages."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.apigateway.models import apigateway_backends

from infra.emulator.account import ACCOUNT, REGION
from infra.emulator.http_server import Answer
from infra.emulator.wire import Head

_PREFIX = f"/tags/arn:aws:apigateway:{REGION}::/restapis/"


class ApiTags:
    """Answers `TagResource` and `UntagResource` of an API itself.

    Args:
        lock: Moto's lock.
    """

    def __init__(self, lock: AbstractContextManager[Any]) -> None:
        self._lock = lock

    def intercept(self, head: Head, path: str, query: str, body: bytes) -> Answer | None:
        """Answer what is about the tags of an API."""
        path = unquote(path)
        identifier = path.removeprefix(_PREFIX)
        if identifier in {"", path} or "/" in identifier or head.method not in {"PUT", "DELETE"}:
            return None
        with self._lock:
            api = apigateway_backends[ACCOUNT][REGION].apis.get(identifier)
            if api is None:
                return None
            tags = dict(api.tags or {})
            if head.method == "PUT":
                tags.update(json.loads(body)["tags"])
            for key in parse_qs(query).get("tagKeys", []):
                tags.pop(key, None)
            api.tags = tags
        return 204, [], b""
