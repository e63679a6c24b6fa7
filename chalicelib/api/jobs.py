"""Jobs: bulk changes, and how far they came."""

from chalice import Response

from chalicelib.api import authentication, requests, shapes
from chalicelib.api.blueprint import Api
from chalicelib.api.problems import answer
from chalicelib.flows import job_status

api = Api(__name__)


@api.route("/jobs/{job_id}", methods=["GET"])
def get_job(job_id: str) -> Response:
    """One job."""
    origin = authentication.operator(api.current_request, "jobs:read")
    requests.query(api.current_request)
    return answer(shapes.job(job_status.get(origin.organization, job_id)))
