"""Minting so that a lost answer leaves no token whose secret was never shown."""

from __future__ import annotations

import secrets
from typing import Any, Final

from rollcall_cli.control_plane import api_path
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.handing_over import Undo
from rollcall_cli.http import Call
from rollcall_cli.surroundings import Operator

_MAY_EXIST: Final = (
    "A token may have been minted all the same. Next: look at `rollcall token list`, and revoke "
    "the one whose secret was never shown."
)
_LOST: Final = "its secret was lost on the way to the operator"


def mint(operator: Operator, body: dict[str, Any]) -> dict[str, Any]:
    """Mint a token, and end with one that is alive, whatever gets lost.

    The request is repeated with the same idempotency key. If the first one had been answered and
    the answer was lost, the control plane says so and names the token; that one is revoked, and
    another minted.

    Raises:
        CliError: it was refused, or no answer came.
    """
    try:
        return _mint(operator, body)
    except CliError as error:
        lost = error.body.get("enrollment_token_id")
        if error.code != "already_minted" or not isinstance(lost, str):
            raise
    operator.screen.note(f"The answer with the secret of {lost} was lost: revoking that token.")
    _revoke_lost(operator, lost)
    return _mint(operator, body)


def undo(operator: Operator, minted: dict[str, Any]) -> Undo:
    """What becomes of a token whose secret was lost on its way to the person."""
    token = str(minted["enrollment_token_id"])
    return Undo(token, lambda: _revoke_lost(operator, token), f"rollcall token revoke {token}")


def _revoke_lost(operator: Operator, token: str) -> None:
    operator.plane.post("agent-enrollment", "tokens", token, "revoke", body={"note": _LOST})


def _mint(operator: Operator, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
    call = Call("POST", api_path("agent-enrollment", "tokens"), body=body, headers=headers)
    try:
        return operator.plane.send(call)
    except CliError as error:
        if error.exit_code is ExitCode.UNREACHABLE:
            error.line += f"\n{_MAY_EXIST}"
        raise
    except KeyboardInterrupt:
        operator.screen.note(_MAY_EXIST)
        raise
