"""Enrollment tokens, and their exchange."""

from chalice import Response

from chalicelib import runtime
from chalicelib.api import authentication, cursors, requests, shapes
from chalicelib.api.blueprint import Api
from chalicelib.api.problems import answer
from chalicelib.flows import exchange as exchange_flow
from chalicelib.flows import mint as mint_flow
from chalicelib.flows import tokens as token_flow
from chalicelib.flows.enrollment import EnrollTools, ExchangeRequest
from chalicelib.flows.environment_lists import Position

_LIST = "enrollment_tokens"
api = Api(__name__, prefix="/api/v1/agent-enrollment")


@api.route("/tokens", methods=["POST"])
def mint_enrollment_token() -> Response:
    """Mint a token; its secret is in this answer and nowhere else."""
    origin = authentication.operator(api.current_request, "enrollment:write")
    wanted = requests.body(api.current_request, mint_flow.MintRequest)
    key = requests.idempotency_key(api.current_request)
    minted = mint_flow.mint(runtime.current().patience, origin, wanted, key)
    return answer({**shapes.token(minted.token, origin.now), "token": minted.secret}, 201)


@api.route("/tokens", methods=["GET"])
def list_enrollment_tokens() -> Response:
    """Tokens, newest first."""
    origin = authentication.operator(api.current_request, "enrollment:read")
    given = requests.query(api.current_request, "environment", "status", "limit", "cursor")
    keyring = runtime.current().keyring
    position = cursors.decode(keyring, origin.organization, _LIST, given, parts=2)
    page = token_flow.page(
        origin.organization,
        environment=given.get("environment"),
        status=requests.one_of(given, "status", token_flow.TOKEN_STATUSES),
        start=Position(*position) if position else None,
        limit=requests.whole_number(given, "limit", default=50, least=1, most=100),
        now=origin.now,
    )
    return answer(
        {
            "enrollment_tokens": [shapes.token(row, origin.now) for row in page.rows],
            "next_cursor": page.next
            and cursors.encode(
                keyring, origin.organization, _LIST, given, [page.next.environment, page.next.after]
            ),
        }
    )


@api.route("/tokens/{enrollment_token_id}", methods=["GET"])
def get_enrollment_token(enrollment_token_id: str) -> Response:
    """One token."""
    origin = authentication.operator(api.current_request, "enrollment:read")
    requests.query(api.current_request)
    row = token_flow.get(origin.organization, enrollment_token_id)
    return answer(shapes.token(row, origin.now))


@api.route("/tokens/{enrollment_token_id}/revoke", methods=["POST"])
def revoke_enrollment_token(enrollment_token_id: str) -> Response:
    """End a token; with `cascade`, its agents too, by a job (202)."""
    origin = authentication.operator(api.current_request, "enrollment:write")
    wanted = requests.body(api.current_request, token_flow.RevokeTokenRequest, optional=True)
    revoked = token_flow.revoke(runtime.current().patience, origin, enrollment_token_id, wanted)
    shape = shapes.token(revoked.token, origin.now)
    if revoked.job is None:
        return answer(shape)
    return answer({**shape, "job": shapes.job(revoked.job)}, 202)


@api.route("/exchange", methods=["POST"])
def exchange_enrollment_token() -> Response:
    """Trade a token for an identity. The whole request is checked before the token is."""
    wanted = requests.body(api.current_request, ExchangeRequest)
    key = requests.idempotency_key(api.current_request)
    origin, claims = authentication.enrollment(api.current_request, wanted.token)
    now = runtime.current()
    tools = EnrollTools(now.keyring, now.patience, now.refusals)
    result = exchange_flow.exchange(tools, origin, claims, wanted, key)
    base = requests.public_url(api.current_request, now.settings.public_url)
    return answer(shapes.enrolled(result, base, now.clock()), 200 if result.replayed else 201)
