"""Artifacts: announced by agents, looked at by operators; the bytes never pass through here."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import lists, requests, shapes
from chalicelib.api.callers import Caller
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.evidence.envelope import rfc3339
from chalicelib.flows import agent_access
from chalicelib.flows import artifacts as artifact_flow

api = Api(__name__, prefix="/api/v1/agents")


@api.route("/{agent_id}/artifacts", methods=["POST"])
def announce_artifact(caller: Caller, agent_id: str) -> Response:
    """Answer a presigned upload, or that the content is stored already."""
    del agent_id  # the caller's own, as the key says
    wanted = requests.body(api.current_request, artifact_flow.ArtifactRequest)
    presence = agent_access.authorize(caller.agent, artifact_flow.SCOPE)
    now = runtime.current()
    tools = artifact_flow.ArtifactTools(now.bucket, now.patience)
    announced = artifact_flow.announce(tools, caller.origin, presence, wanted)
    shape = {
        "artifact_id": announced.row.item,
        "status": announced.row.status,
        "deduplicated": announced.form is None,
    }
    if announced.form is None:
        return answer(shape)
    upload = {"url": announced.form.url, "fields": announced.form.fields}
    expires = rfc3339(int(announced.row.deadline))
    return answer({**shape, "upload": upload, "upload_expires_at": expires}, 201)


@api.route("/{agent_id}/artifacts", methods=["GET"])
def list_artifacts(caller: Caller, agent_id: str) -> Response:
    """An agent's artifacts."""
    origin = caller.origin
    wanted = lists.paging(api.current_request, origin.organization, f"artifacts.{agent_id}")
    rows, after = artifact_flow.page(
        origin.organization, agent_id, after=wanted.after, limit=wanted.limit
    )
    return wanted.answer("artifacts", [shapes.artifact(row, origin.now) for row in rows], after)


@api.route("/{agent_id}/artifacts/{artifact_id}", methods=["GET"])
def get_artifact(caller: Caller, agent_id: str, artifact_id: str) -> Response:
    """One artifact, for operators and for the agent that announced it."""
    origin = caller.origin
    if caller.claims is not None:
        agent_access.authorize(caller.claims, artifact_flow.SCOPE)
    requests.query(api.current_request)
    row = artifact_flow.get(origin.organization, agent_id, artifact_id)
    return answer(shapes.artifact(row, origin.now))


@api.route("/{agent_id}/artifacts/{artifact_id}/download", methods=["GET"])
def download_artifact(caller: Caller, agent_id: str, artifact_id: str) -> Response:
    """A presigned download of a stored artifact."""
    origin = caller.origin
    requests.query(api.current_request)
    url = artifact_flow.download(
        runtime.current().bucket, origin.organization, agent_id, artifact_id, origin.now
    )
    expires = origin.now + artifact_flow.DOWNLOAD_SECONDS * 1000
    return answer({"url": url, "expires_at": rfc3339(expires)})
