"""A blueprint whose views answer every error in our own form."""

import functools
from collections.abc import Callable
from typing import Any

from chalice import Blueprint, Response

from chalicelib.api.problems import problem
from chalicelib.errors import DomainError, Unavailable
from chalicelib.telemetry import logger

_AFTER_A_DEFECT = 30
View = Callable[..., Response]


class Api(Blueprint):
    """Registers views below a common prefix.

    Chalice's HTTP middleware does not see what a view raises, so errors are mapped around each
    view; and it answers a wrong content type by itself unless the decision is ours.

    Args:
        name: the module's name.
        prefix: the path before each route.
    """

    def __init__(self, name: str, prefix: str = "/api/v1") -> None:
        super().__init__(name)
        self._prefix = prefix

    def route(self, path: str, **options: Any) -> Callable[[View], View]:  # noqa: ANN401
        """Register a view for a path and its methods."""
        register = super().route(self._prefix + path, content_types=[], **options)

        def decorate(view: View) -> View:
            register(self._guard(view))
            return view

        return decorate

    def _guard(self, view: View) -> View:
        @functools.wraps(view)
        def guarded(**arguments: str) -> Response:
            request_id = str(self.current_request.context.get("requestId", ""))
            try:
                return view(**arguments)
            except DomainError as error:
                _log(view.__name__, request_id, error)
                return problem(error, request_id)
            except Exception:  # noqa: BLE001 - the last stop: nothing may escape unrendered
                logger.exception("view failed", view=view.__name__, request_id=request_id)
                return problem(_ours(), request_id)

        return guarded


def _ours() -> Unavailable:
    # What is our fault is 503, a defect too: an agent keeps its key and comes back.
    return Unavailable(
        "Something went wrong on our side.", code=DomainError.code, seconds=_AFTER_A_DEFECT
    )


def _log(view: str, request_id: str, error: DomainError) -> None:
    # The code and our own cause; never the body, the credential or the address line.
    level = logger.error if error.status >= 500 else logger.info  # noqa: PLR2004
    level(
        "refused",
        view=view,
        request_id=request_id,
        status=error.status,
        code=error.code,
        cause=error.cause,
    )
