"""Enrollment tokens, and their exchange."""

from chalice import Response
from chalice.app import Request

from chalicelib import runtime
from chalicelib.api import bearers, lists, operators, requests, shapes
from chalicelib.api.access import ENROLLMENT_TOKEN
from chalicelib.api.bearers import Bearer
from chalicelib.api.callers import Caller, family_of, opaque_claims, origin_of, rejected
from chalicelib.api.problems import answer
from chalicelib.api.views import Api
from chalicelib.credentials import enrollment_token
from chalicelib.credentials.opaque import OpaqueClaims
from chalicelib.evidence.envelope import rfc3339
from chalicelib.evidence.record import Origin
from chalicelib.flows import check_token as check_flow
from chalicelib.flows import exchange as exchange_flow
from chalicelib.flows import mint as mint_flow
from chalicelib.flows import tokens as token_flow
from chalicelib.flows.enrollment import EnrollTools, ExchangeRequest

_LIST = "enrollment_tokens"
_MINT = "POST /api/v1/agent-enrollment/tokens"
_REVOKE = f"{_MINT}/{{enrollment_token_id}}/revoke"
_ENDS_AGENTS = "agents:write"
api = Api(__name__, prefix="/api/v1/agent-enrollment")


@api.route("/tokens", methods=["POST"])
def mint_enrollment_token(caller: Caller) -> Response:
    """Mint a token; its secret is in this answer and nowhere else."""
    wanted = requests.body(api.current_request, mint_flow.MintRequest)
    key = requests.idempotency_key(api.current_request)
    if wanted.replace_machine:
        # Its holder may end an agent.
        operators.require_scope(caller, _MINT, _ENDS_AGENTS)
    now = runtime.current()
    minted = mint_flow.mint(now.patience, caller.origin, caller.row, wanted, key)
    shape = shapes.token(minted.token, caller.origin.now)
    pin = now.settings.release_key_sha256
    return answer({**shape, "token": minted.secret, "agent_release_key_sha256": pin}, 201)


@api.route("/tokens", methods=["GET"])
def list_enrollment_tokens(caller: Caller) -> Response:
    """Tokens, newest first."""
    origin = caller.origin
    wanted = lists.paging(
        api.current_request, origin.organization, _LIST, "environment", "status", parts=2
    )
    page = token_flow.page(
        origin.organization,
        environments=lists.environments(caller, wanted.given),
        status=requests.one_of(wanted.given, "status", token_flow.TOKEN_STATUSES),
        start=wanted.start,
        limit=wanted.limit,
        now=origin.now,
    )
    rows = [shapes.token(row, origin.now) for row in page.rows]
    return wanted.answer("enrollment_tokens", rows, page.next)


@api.route("/tokens/{enrollment_token_id}", methods=["GET"])
def get_enrollment_token(caller: Caller, enrollment_token_id: str) -> Response:
    """One token."""
    requests.query(api.current_request)
    row = token_flow.get(caller.origin.organization, enrollment_token_id)
    return answer(shapes.token(row, caller.origin.now))


@api.route("/tokens/{enrollment_token_id}/revoke", methods=["POST"])
def revoke_enrollment_token(caller: Caller, enrollment_token_id: str) -> Response:
    """End a token; with `cascade`, its agents too, by a job (202)."""
    wanted = requests.body(api.current_request, token_flow.RevokeTokenRequest, optional=True)
    if wanted.cascade:
        operators.require_scope(caller, _REVOKE, _ENDS_AGENTS)
    patience = runtime.current().patience
    revoked = token_flow.revoke(patience, caller.origin, enrollment_token_id, wanted)
    shape = shapes.token(revoked.token, caller.origin.now)
    if revoked.job is None:
        return answer(shape)
    return answer({**shape, "job": shapes.job(revoked.job)}, 202)


@api.route("/exchange", methods=["POST"])
def exchange_enrollment_token() -> Response:
    """Trade a token for an identity. The whole request is checked before the token is."""
    wanted = requests.body(api.current_request, ExchangeRequest)
    key = requests.idempotency_key(api.current_request)
    origin, claims = _token_of(api.current_request, wanted.token)
    now = runtime.current()
    tools = EnrollTools(now.keyring, now.patience, now.refusals)
    result = exchange_flow.exchange(tools, origin, claims, wanted, key)
    base = requests.public_url(api.current_request, now.settings.public_url)
    return answer(shapes.enrolled(result, base, now.clock()), 200 if result.replayed else 201)


@api.route("/check", methods=["POST"])
def check_enrollment_token() -> Response:
    """Say whether an exchange of this body would be admitted. Nothing is spent or created."""
    wanted = requests.body(api.current_request, ExchangeRequest)
    origin, claims = _token_of(api.current_request, wanted.token)
    now = runtime.current()
    tools = EnrollTools(now.keyring, now.patience, now.refusals)
    admitted = check_flow.check(tools, origin, claims, wanted)
    return answer(
        {
            "admits": True,
            "environment": admitted.environment,
            "expires_at": rfc3339(admitted.expires_at),
            "uses_left": admitted.uses_left,
        }
    )


def _token_of(request: Request, in_body: str | None) -> tuple[Origin, OpaqueClaims]:
    """The enrollment token, from the header or the body; not yet looked up.

    Raises:
        Unauthenticated: none, another family's, or junk. No request was made.
    """
    bearer = bearers.in_header(request) if in_body is None else Bearer(bearers.checked(in_body))
    if bearer is None:
        raise rejected("credential_missing")
    family_of(bearer.raw, (ENROLLMENT_TOKEN,))
    claims = opaque_claims(bearer.raw, enrollment_token.FAMILY)
    return origin_of(request, claims.organization, "enrollment_token", claims.id), claims
