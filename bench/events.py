"""API Gateway's events for the function, made by what the emulated gateway makes them with."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from infra.emulator.proxy_event import Origin, build_event
from infra.emulator.routing import Match, Route
from infra.emulator.wire import Head

_PARAMETER = re.compile(r"{([a-z_]+)}")
# What the host agent sends with every request.
_HEADERS = (
    ("Host", "api.example"),
    ("User-Agent", "rollcall-agent/0.1.0"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),
)


def event(
    method: str,
    resource: str,
    credential: str,
    body: Any = None,  # noqa: ANN401 - any JSON
    *,
    query: str = "",
    idempotency_key: str | None = None,
    **parameters: str,
) -> dict[str, Any]:
    """One request.

    Args:
        method: GET or POST.
        resource: the route, with its parameters in braces.
        credential: the bearer.
        body: its JSON body, if it has one.
        query: its query string.
        idempotency_key: the header, if it has one.
        parameters: the path's parameters.
    """
    path = _PARAMETER.sub(lambda found: parameters[found[1]], resource)
    headers = [*_HEADERS, ("Authorization", f"Bearer {credential}")]
    content = b"" if body is None else json.dumps(body).encode()
    if content:
        headers.append(("Content-Type", "application/json"))
    if idempotency_key is not None:
        headers.append(("Idempotency-Key", idempotency_key))
    origin = Origin(
        api_id="bench",
        stage="bench",
        stage_variables={},
        account="000000000000",
        domain="api.example",
        port=443,
        peer="192.0.2.7",
        request_id=str(uuid.uuid4()),
        path=path,
        query=query,
    )
    head = Head(method, path, "HTTP/1.1", headers)
    return build_event(
        head, content, Match(Route(resource, method, None), parameters), origin, binary=False
    )
