"""Whether the function lives, and whether it can do its work."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.flows.readiness import check

api = Api(__name__, prefix="")


@api.route("/healthz", methods=["GET"])
def healthz() -> Response:
    """The function answers; nothing else is asked."""
    return answer({"status": "ok"})


@api.route("/readyz", methods=["GET"])
def readyz() -> Response:
    """The signing secret and the database can be read; 503 where not."""
    check(runtime.current().keyring)
    return answer({"status": "ready"})
