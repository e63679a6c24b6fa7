"""Which method of a Swagger document serves a path."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_LAMBDA_URI = re.compile(r":lambda:path/[^/]+/functions/(?P<arn>arn:[^/]+)/invocations$")


class UnsupportedApiError(Exception):
    """The document asks for something that the emulator does not imitate."""


@dataclass(frozen=True, slots=True)
class Route:
    """A resource and method with its integration."""

    resource: str
    method: str
    function_arn: str | None  # None: a mock integration, which Chalice uses for CORS preflights
    mock_headers: tuple[tuple[str, str], ...] = ()
    mock_status: int = 200


@dataclass(frozen=True, slots=True)
class Match:
    """A route and the path parameters, still encoded as they came."""

    route: Route
    parameters: dict[str, str]


class Routes:
    """All routes of an API; a literal segment wins over a parameter, a greedy one comes last."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._resources: list[tuple[tuple[int, ...], re.Pattern[str], dict[str, Route]]] = []
        for resource, methods in document.get("paths", {}).items():
            routes = {
                name.upper(): _route(resource, name, method)
                for name, method in methods.items()
                if name != "parameters"
            }
            self._resources.append((_rank(resource), _pattern(resource), routes))
        self._resources.sort(key=lambda entry: entry[0])

    def match(self, method: str, path: str) -> Match | None:
        """Find the route of a request, or None."""
        path = "/" + path.strip("/")
        for _, pattern, routes in self._resources:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            route = routes.get(method) or routes.get("X-AMAZON-APIGATEWAY-ANY-METHOD")
            # Like API Gateway, which settles on the resource first: no second best.
            return None if route is None else Match(route, _unpack(route.resource, found))
        return None

    @property
    def functions(self) -> set[str]:
        """The ARNs of all functions that the API calls."""
        routes = (route for _, _, group in self._resources for route in group.values())
        return {route.function_arn for route in routes if route.function_arn}


def _segments(resource: str) -> list[str]:
    return [segment for segment in resource.split("/") if segment]


def _rank(resource: str) -> tuple[int, ...]:
    ranks = []
    for segment in _segments(resource):
        greedy = segment.endswith("+}")
        ranks.append(2 if greedy else 1 if segment.startswith("{") else 0)
    return tuple(ranks)


def _pattern(resource: str) -> re.Pattern[str]:
    parts = []
    for segment in _segments(resource):
        if segment.endswith("+}"):
            parts.append("(.+)")
        elif segment.startswith("{"):
            parts.append("([^/]+)")
        else:
            parts.append(re.escape(segment))
    return re.compile("/" + "/".join(parts), re.DOTALL)


def _unpack(resource: str, found: re.Match[str]) -> dict[str, str]:
    names = [part[1:-1].rstrip("+") for part in _segments(resource) if part.startswith("{")]
    # API Gateway decodes path parameters for a proxy integration.
    values = (unquote(value, errors="replace") for value in found.groups())
    return dict(zip(names, values, strict=True))


def _route(resource: str, name: str, method: dict[str, Any]) -> Route:
    if method.get("security"):
        raise UnsupportedApiError(f"{name.upper()} {resource}: authorizers and API keys")
    integration = method.get("x-amazon-apigateway-integration") or {}
    kind = str(integration.get("type", "")).lower()
    if kind == "aws_proxy":
        found = _LAMBDA_URI.search(str(integration.get("uri", "")))
        if found is None:
            raise UnsupportedApiError(f"{name.upper()} {resource}: no function in its URI")
        return Route(resource, name.upper(), found["arn"])
    if kind == "mock":
        return _mock(resource, name, integration)
    raise UnsupportedApiError(f"{name.upper()} {resource}: integration of type {kind!r}")


def _mock(resource: str, name: str, integration: dict[str, Any]) -> Route:
    answer = integration.get("responses", {}).get("default", {})
    prefix = "method.response.header."
    headers = tuple(
        (key.removeprefix(prefix), str(value).strip("'"))
        for key, value in answer.get("responseParameters", {}).items()
        if key.startswith(prefix)
    )
    return Route(resource, name.upper(), None, headers, int(answer.get("statusCode", 200)))
