"""What a refusal prints: what the control plane said, and what to do next."""

from __future__ import annotations

from typing import Final

from rollcall_client.api_gateway import NO_ROUTE, knows_no_route

from rollcall_cli.answers import Answer
from rollcall_cli.exits import CliError, ExitCode
from rollcall_cli.text import clean, sentence

_LOGIN: Final = "run `rollcall login`"
_OTHER_NAME: Final = "choose another name"
_LOOK: Final = "look the id or name up with the `list` command"
_ROLE: Final = "ask a person whose role allows it, or an org_admin for that role"

_NEXT: Final = {
    "credential_missing": _LOGIN,
    "credential_invalid": f"{_LOGIN}, or renew what ROLLCALL_CREDENTIAL holds",
    "credential_revoked": f"{_LOGIN}, or renew what ROLLCALL_CREDENTIAL holds",
    "credential_expired": f"{_LOGIN}, or renew what ROLLCALL_CREDENTIAL holds",
    "login_failed": "check username, password and URL",
    "login_locked": "wait as long as it says; more attempts only prolong it",
    "no_password": "log in in a browser: this account is known by the identity provider",
    "wrong_credential_family": "this needs a person: unset ROLLCALL_CREDENTIAL and run "
    "`rollcall login`; or another kind of credential, if you are logged in already",
    "scope_missing": "use a credential that has the scope",
    "permission_missing": _ROLE,
    "role_missing": _ROLE,
    "organization_closed": "it is being deleted: `rollcall switch` to another organization",
    "last_org_admin": "make another member an org_admin first",
    "not_home": "ask the organization that made the account",
    "scope_unknown": "see the list of scopes in docs/api.md",
    "invitation_not_found": "check that it was copied whole, or have a new one made",
    "invitation_project_gone": "have a new one made: it names a project that was deleted",
    "invitation_used": "have a new one made, or log in if that was you",
    "username_taken": _OTHER_NAME,
    "account_incomplete": "give --username, or log in first",
    "organization_key_ended": "make another one: rollcall key create",
    "organization_key_moved": "another operator rotates it: see `rollcall key list`, and try again",
    "personal_token_not_found": "see `rollcall personal-token list`",
    "organization_key_not_found": "see `rollcall key list`",
    "session_not_found": "see `rollcall session list`",
    "member_not_found": "see `rollcall member list`",
    "environment_not_found": "see `rollcall environments`",
    "project_not_found": "see `rollcall projects`",
    "organization_not_found": "see `rollcall organizations`",
    "enrollment_token_not_found": "see `rollcall token list`",
    "agent_not_found": "see `rollcall agent list`",
    "job_not_found": "check the id; jobs are kept for some days only",
    "name_taken": _OTHER_NAME,
    "not_quarantined": "see how it is: rollcall agent show",
    "not_a_clone": "release it with keep: an operator quarantined it, and no copy of it was seen",
    "copy_unknown": "see its copies: rollcall agent show",
    "route_not_found": "this control plane is older than this command: have it brought up to date",
    "validation_failed": "correct the value that is named here",
    "query_invalid": "correct the value that is named here",
    "cursor_invalid": "begin again without --cursor",
    "agent_revoked": "a revoked agent cannot be changed; enroll the host again",
}
_ERRORS_SHOWN: Final = 5
_BY_STATUS: Final = {
    401: ExitCode.NOT_LOGGED_IN,
    404: ExitCode.NOT_FOUND,
}


def explain(answer: Answer) -> str:
    """Describe an answer that is not a success, without secrets."""
    if answer.code is None:
        return _explain_foreign(answer)
    detail = answer.text("detail") or answer.text("title") or ""
    reasons = " ".join(part for part in (_as_sentence(detail), *_field_errors(answer)) if part)
    said = f"{reasons} [{answer.status} {clean(answer.code, 64)}]"
    advice = _NEXT.get(answer.code, _advice_by_status(answer))
    return f"{said}\nNext: {sentence(advice)}" if advice else said


def refusal(answer: Answer) -> CliError:
    """Turn an answer that is no success into the error that ends the command."""
    if answer.is_transient or answer.code is None:
        exit_code = ExitCode.UNREACHABLE
    elif answer.code == "route_not_found":
        exit_code = ExitCode.REFUSED
    else:
        exit_code = _BY_STATUS.get(answer.status, ExitCode.REFUSED)
    return CliError(explain(answer), exit_code, code=answer.code, body=answer.body)


def _advice_by_status(answer: Answer) -> str:
    if answer.is_transient:
        return "wait and try again"
    return {401: _LOGIN, 403: _ROLE, 404: _LOOK}.get(answer.status, "")


def _explain_foreign(answer: Answer) -> str:
    """Describe an answer that did not come from the application itself."""
    if answer.is_transient:
        return f"The control plane is not able to answer right now (HTTP {answer.status})."
    if knows_no_route(answer.status, answer.body):
        return f"{NO_ROUTE}\nNext: check the URL, its stage included."
    return (
        f"What answered (HTTP {answer.status}) is not the control plane's application.\n"
        "Next: check the URL, its stage included, and any proxy in between."
    )


def _field_errors(answer: Answer) -> list[str]:
    """Name the first members that a validation refused."""
    errors = (answer.body or {}).get("errors")
    if not isinstance(errors, list):
        return []
    return [
        sentence(clean(_field_error(error), 160))
        for error in errors[:_ERRORS_SHOWN]
        if isinstance(error, dict)
    ]


def _field_error(error: dict[str, object]) -> str:
    path, message = error.get("path"), error.get("message") or "not valid"
    return f"{path}: {message}" if path else str(message)


def _as_sentence(text: str) -> str:
    return sentence(clean(text)) if text.strip() else ""
