"""Routes of an agent's life: quarantine, release, split, rotation."""

from chalicelib.flows.quarantine import QuarantineRequest, ReleaseRequest
from chalicelib.flows.rotation import RotateRequest
from chalicelib.flows.split import SplitRequest
from tests.functional.route import Route
from tests.functional.routes_core import AGENT

ROUTES = (
    Route(
        "POST", f"{AGENT}/quarantine", kind=QuarantineRequest, body=lambda _: {"note": "why"},
        body_is_optional=True, ends=True,
    ),
    # The world's agent is one, and nobody has quarantined it.
    Route(
        "POST", f"{AGENT}/release", kind=ReleaseRequest, body=lambda _: {"decision": "keep"},
        answers=(409,),
    ),
    Route(
        "POST", f"{AGENT}/split", kind=SplitRequest, body=lambda _: {"instance": "i" * 20},
        headers={"idempotency-key": "canary-of-a-copy-0123456789"}, answers=(409,),
    ),
    Route(
        "POST", f"{AGENT}/runtime-key/rotate", kind=RotateRequest,
        body=lambda _: {"instance": "i" * 20}, body_is_optional=True, answers=(201, 429),
    ),
    Route("POST", f"{AGENT}/runtime-key/request-rotation"),
)  # fmt: skip
