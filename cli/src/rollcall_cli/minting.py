"""Minting so that a lost answer does not leave a token that nobody holds."""

from __future__ import annotations

import secrets
from typing import Any, Final

from rollcall_cli.control_plane import api_path
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.http import Call
from rollcall_cli.surroundings import Operator

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
    operator.plane.post("agent-enrollment", "tokens", lost, "revoke", body={"note": _LOST})
    return _mint(operator, body)


def _mint(operator: Operator, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
    call = Call("POST", api_path("agent-enrollment", "tokens"), body=body, headers=headers)
    try:
        return operator.plane.send(call)
    except CliError as error:
        if error.exit_code is ExitCode.UNREACHABLE:
            error.line += (
                "\nA token may have been minted all the same. Next: look at `rollcall token list`, "
                "and revoke the one that nobody holds."
            )
        raise
