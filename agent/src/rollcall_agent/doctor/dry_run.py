"""Asks the control plane whether it would take an enrollment token, without spending it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from rollcall_client.api_gateway import knows_no_route

from rollcall_agent.advice import explain
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import Call, Caller
from rollcall_agent.doctor.check import Check, failed, of_error, ok, skipped, warning
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.secret import Secret

TOKEN: Final = "token"  # noqa: S105 - the name of a check
PATH: Final = "/api/v1/agent-enrollment/check"
_OF_RESUMED: Final = frozenset({"token_spent", "token_expired"})
_NO_ROUTE: Final = "route_not_found"


def check_token(
    plane: Caller,
    token: Callable[[], Secret],
    facts: Mapping[str, str],
    *,
    interrupted: bool,
) -> Check:
    """Ask about the token.

    Args:
        plane: The control plane.
        token: Finds the token, or says in an error that there is none.
        facts: What the host would say of itself.
        interrupted: Whether an enrollment with the token may be under way: then its use may be
            gone, and still give this host its agent.
    """
    try:
        found = token()
    except AgentError as error:
        if error.exit_code is ExitCode.NOT_ENROLLED:
            return skipped(TOKEN, "There is no enrollment token")
        return of_error(TOKEN, error)
    try:
        answer = plane.call(Call("POST", PATH, body=dict(facts), bearer=found))
    except NoAnswerError as failure:
        return failed(
            TOKEN, f"The token could not be asked about: {failure.reason}", "see the lines above"
        )
    return _judge(answer, interrupted=interrupted)


def _judge(answer: Answer, *, interrupted: bool) -> Check:
    if answer.succeeded and (answer.body or {}).get("admits") is True:
        left = answer.number("uses_left", 0, 2**53)
        uses = "" if left is None else f", uses left: {left:.0f}"
        until = answer.text("expires_at") or "an unknown time"
        where = answer.text("environment") or "an unnamed environment"
        return ok(TOKEN, f"The token admits this host into {where} until {until}{uses}")
    # Of an older control plane: it has no such route, and a gateway may say so in its own words.
    if answer.code == _NO_ROUTE or knows_no_route(answer.status, answer.body):
        return skipped(TOKEN, "This control plane cannot be asked about a token")
    if interrupted and answer.code in _OF_RESUMED:
        return warning(
            TOKEN,
            f"{answer.code}, and an enrollment with a token was interrupted on this host",
            "run enroll again with the same token: it gets its agent all the same, for 24 hours",
        )
    return of_error(TOKEN, AgentError(explain(answer), ExitCode.REFUSED))
