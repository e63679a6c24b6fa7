"""The one line that a refusal prints: what the control plane said, and what to do next."""

from __future__ import annotations

from typing import Final

from rollcall_client.api_gateway import NO_ROUTE, knows_no_route

from rollcall_agent.answers import Answer
from rollcall_agent.say import clean

_MINT: Final = "ask an operator to mint a new enrollment token, then run enroll with it"
_COPIED_WHOLE: Final = "check that the token was copied whole, or have a new one minted"
_CHECK_KEY: Final = "the key is kept; if it lasts, ask an operator about this agent"
_ENROLL_AGAIN: Final = "run enroll --replace with a new enrollment token"
_UPDATE: Final = "update the agent, or report this to the operators of the control plane"

_NEXT: Final = {
    "credential_missing": _COPIED_WHOLE,
    "credential_invalid": _COPIED_WHOLE,
    "wrong_credential_family": "use an enrollment token (rce_...), no other kind of key",
    "token_expired": _MINT,
    "token_spent": _MINT,
    "token_revoked": _MINT,
    "hostname_mismatch": "use the token on the host that it was minted for, or mint one for this",
    "source_address_refused": "enroll from a network that the token allows",
    "name_taken": "choose another --name, or leave it out to have one derived from the hostname",
    "replay_window_closed": "the agent of this token has already been online: ask an operator to "
    "revoke it and to mint a new enrollment token",
    "key_revoked": f"ask an operator why; if this host shall live on, {_ENROLL_AGAIN}",
    "key_superseded": f"another process rotated this key; if its new key is lost, {_ENROLL_AGAIN}",
    "key_expired": f"ask an operator to revoke this agent, then {_ENROLL_AGAIN}",
    "key_invalid": _CHECK_KEY,
    "key_wrong_agent": "ROLLCALL_AGENT_ID and ROLLCALL_AGENT_API_KEY belong to different agents",
    "agent_not_found": _CHECK_KEY,
    "agent_split": "this copy takes an identity of its own as soon as its env file can be written",
    "not_split": "nothing, this copy keeps the identity that it has",
    "rotation_too_soon": "nothing, the key is rotated later",
    "facts_too_soon": "nothing, the facts are sent later",
    "scope_missing": "ask an operator to grant this agent the scope",
    "not_active": "start `rollcall-agent run` first: the first heartbeat opens this route",
    "artifact_too_large": "the control plane accepts no artifact of this size",
    "artifact_type_refused": "choose a --content-type that the control plane accepts",
    "too_many_artifacts": "wait, and upload fewer files at once",
    "heartbeat_too_soon": "nothing, if the agent was just restarted; else check that only one "
    "agent runs on this host",
    "body_missing": _UPDATE,
    "json_invalid": _UPDATE,
    "validation_failed": "correct the value that is named here",
}
QUARANTINED: Final = "agent_quarantined"
BY_OPERATOR: Final = "operator"
_OF_QUARANTINE: Final = {
    BY_OPERATOR: "ask an operator why; the key is kept, and the agent goes on by itself once it is "
    "released",
    "clone": "a machine or its disk was copied; the key is kept. If this is the copy, run enroll "
    "--replace with a new token here; else ask an operator to release the agent, and to choose "
    "which copy keeps the identity",
}
# Of a control plane that does not say why.
_SOME_QUARANTINE: Final = (
    "ask an operator why, and to release the agent; the key is kept. If a copy of this machine "
    "runs, run enroll --replace with a new token on the copy"
)
_ERRORS_SHOWN: Final = 3


def explain(answer: Answer) -> str:
    """Describe an answer that is not a success, in one line without secrets."""
    if answer.code is None:
        return _explain_foreign(answer)
    detail = answer.text("detail") or answer.text("title") or ""
    said = f"{answer.status} {clean(answer.code, 64)}"
    reasons = "; ".join(part for part in (clean(detail), *_field_errors(answer)) if part)
    if reasons:
        said = f"{said} ({reasons})"
    advice = _next(answer, answer.code)
    if advice is None:
        advice = "wait and try again" if answer.is_transient else "ask an operator"
    return f"The control plane refused: {said}. Next: {advice}."


def quarantine_reason(answer: Answer) -> str | None:
    """Return why the agent is quarantined: `operator`, `clone`, or None where that is not said."""
    reason = answer.text("quarantine_reason")
    return reason if reason in _OF_QUARANTINE else None


def _next(answer: Answer, code: str) -> str | None:
    if code == QUARANTINED:
        return _OF_QUARANTINE.get(quarantine_reason(answer) or "", _SOME_QUARANTINE)
    return _NEXT.get(code)


def _explain_foreign(answer: Answer) -> str:
    """Describe an answer that did not come from the application itself."""
    if answer.is_transient:
        return f"The control plane is not able to answer right now (HTTP {answer.status})."
    if knows_no_route(answer.status, answer.body):
        return f"{NO_ROUTE} Next: check ROLLCALL_API_BASE_URL, its stage included."
    return (
        f"What answered (HTTP {answer.status}) is not the control plane's application. "
        "Next: check ROLLCALL_API_BASE_URL, its stage included, and any proxy in between."
    )


def _field_errors(answer: Answer) -> list[str]:
    """Name the first fields that a validation refused."""
    errors = (answer.body or {}).get("errors")
    if not isinstance(errors, list):
        return []
    return [
        clean(f"{error.get('path', '')}: {error.get('message', '')}", 120)
        for error in errors[:_ERRORS_SHOWN]
        if isinstance(error, dict)
    ]
