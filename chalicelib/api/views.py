"""From the table of routes to the views; every error is answered in our own form.

The routes that the app serves are the rows of `access.MODULES`. The module of a view is imported
when its route is first called: what a heartbeat does not need, its cold start does not pay for.
"""

import importlib
from collections.abc import Callable
from typing import Any

from chalice import Chalice, Response
from chalice.app import Request

from chalicelib.api.access import METHODS, MODULES, ROUTES, Access, allowed_methods
from chalicelib.api.authentication import authenticate
from chalicelib.api.problems import problem
from chalicelib.errors import DomainError, MethodNotAllowed, Unavailable
from chalicelib.telemetry import logger

_AFTER_A_DEFECT = 30
_SERVER_ERROR = 500
_AT_START = "heartbeats"
OTHER_METHODS = "other_methods"
"""The name of the view of those methods that a path does not have."""
View = Callable[..., Response]

_views: dict[str, View] = {}
_apps: list[Chalice] = []


class RouteWithoutAccessError(RuntimeError):
    """A view of a route that is not in the table of who may call it: it is never served."""


class Api:
    """The views of one module, below a common prefix.

    Args:
        name: the module's name.
        prefix: the path before each route.
    """

    def __init__(self, name: str, prefix: str = "/api/v1") -> None:
        self._name = name
        self._prefix = prefix

    @property
    def current_request(self) -> Request:
        """The request that is being answered."""
        return _apps[-1].current_request

    def route(self, path: str, *, methods: list[str]) -> Callable[[View], View]:
        """Make a function the view of a path and its one method.

        Where the route's row asks for a credential, the view gets who calls as `caller`.

        Raises:
            RouteWithoutAccessError: the table has no such row.
        """
        (method,) = methods
        route = f"{method} {self._prefix}{path}"
        if route not in ROUTES:
            raise RouteWithoutAccessError(f"{self._name}: {route}")

        def decorate(view: View) -> View:
            _views[route] = view
            return view

        return decorate


def register(app: Chalice) -> None:
    """Serve every route of the table."""
    _apps[:] = [app]
    # Nearly all requests are heartbeats: theirs is there before the first one comes, in the time
    # that Lambda gives for starting.
    importlib.import_module(f"chalicelib.api.{_AT_START}")
    for module, rows in MODULES.items():
        for route, access in rows.items():
            method, path = route.split(" ", 1)
            methods = [method, "HEAD"] if access.head else [method]
            # With no content types of its own, Chalice leaves it to us to refuse one.
            app.route(path, methods=methods, content_types=[], name=f"{module}.{method}")(
                _guarded(app, module, route, access)
            )
    for path, allowed in allowed_methods().items():
        others = [method for method in METHODS if method == "OPTIONS" or method not in allowed]
        app.route(path, methods=others, content_types=[], name=OTHER_METHODS)(
            _other_methods(app, path, allowed)
        )


def view_of(module: str, route: str) -> View:
    """The view of a route, from its module."""
    if route not in _views:
        importlib.import_module(f"chalicelib.api.{module}")
    return _views[route]


def _guarded(app: Chalice, module: str, route: str, access: Access) -> View:
    # Chalice's HTTP middleware does not see what a view raises: errors are mapped around each.
    def guarded(**arguments: str) -> Response:
        request = app.current_request
        request_id = str(request.context.get("requestId", ""))
        try:
            caller = authenticate(request, route, access, arguments)
            more: dict[str, Any] = {} if caller is None else {"caller": caller}
            answer = view_of(module, route)(**more, **arguments)
        except DomainError as error:
            _log(route, request_id, error)
            answer = problem(error, request_id)
        except Exception:  # noqa: BLE001 - the last stop: nothing may escape unrendered
            logger.exception("view failed", route=route, request_id=request_id)
            answer = problem(_ours(), request_id)
        return _without_body(answer) if request.method == "HEAD" else answer

    return guarded


def _other_methods(app: Chalice, path: str, allowed: tuple[str, ...]) -> View:
    """The view of a path's other methods: it says which there are, and looks at nothing.

    OPTIONS is answered without any Access-Control header: no other site's page may call.
    """

    def other(**_arguments: str) -> Response:
        request = app.current_request
        if request.method == "OPTIONS":
            return Response("", {"Allow": ", ".join(allowed), "Cache-Control": "no-store"}, 204)
        error = MethodNotAllowed(allowed)
        request_id = str(request.context.get("requestId", ""))
        _log(f"{request.method} {path}", request_id, error)
        answer = problem(error, request_id)
        return _without_body(answer) if request.method == "HEAD" else answer

    return other


def _without_body(answer: Response) -> Response:
    answer.body = ""
    return answer


def _ours() -> Unavailable:
    # What is our fault is 503, a defect too: an agent keeps its key and comes back.
    return Unavailable(
        "Something went wrong on our side.", code=DomainError.code, seconds=_AFTER_A_DEFECT
    )


def _log(route: str, request_id: str, error: DomainError) -> None:
    # The code and our own cause; never the body, the credential or the address line.
    level = logger.error if error.status >= _SERVER_ERROR else logger.info
    level(
        "refused",
        route=route,
        request_id=request_id,
        status=error.status,
        code=error.code,
        cause=error.cause,
    )
