"""Jobs: bulk changes, and how far they came."""

from chalice import Response

from chalicelib.api import requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.store.jobs import JobItem

api = Api(__name__)


@api.route("/jobs/{job_id}", methods=["GET"])
def get_job(caller: Caller, job_id: str) -> Response:
    """One job."""
    requests.query(api.current_request)
    del job_id  # the caller's row
    if isinstance(caller.row, JobItem):
        return answer(shapes.job(caller.row))
    raise AssertionError("the route names no job")
