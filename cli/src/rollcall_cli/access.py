"""Which control plane a command speaks to, and with which credential."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollcall_cli.exits import CliError, ExitCode, usage
from rollcall_cli.logins import CREDENTIAL, URL, Logins
from rollcall_cli.secret import Secret, operator_credential
from rollcall_cli.urls import check_base_url


@dataclass(frozen=True)
class Access:
    """A control plane, and what is shown to it."""

    url: str
    credential: Secret = field(repr=False)


def base_url(option: str | None, environ: Mapping[str, str], logins: Logins) -> str:
    """The control plane: the option, else the environment, else where the last login was.

    Raises:
        CliError: none of them says.
    """
    raw = option or environ.get(URL) or logins.current_url()
    if not raw:
        raise usage(f"No control plane is known. Next: rollcall login --url URL, or set {URL}.")
    return check_base_url(raw)


def find_access(environ: Mapping[str, str], logins: Logins) -> Access:
    """The credential of the environment, else the session at the control plane.

    Raises:
        CliError: there is neither.
    """
    given = environ.get(CREDENTIAL)
    if given is not None and not given.strip():
        # Such as `$(cat missing)`: a script must not go on as the person who is logged in.
        raise usage(f"{CREDENTIAL} is set and empty. Fill or unset it.")
    if given:
        if not environ.get(URL):
            # The control plane of the last login is no place for a credential that came otherwise.
            raise usage(f"{CREDENTIAL} is set, so {URL} must be, too.")
        return Access(base_url(None, environ, logins), operator_credential(given, CREDENTIAL))
    url = base_url(None, environ, logins)
    login = logins.find(url)
    if login is None:
        raise CliError(
            f"Not logged in at {url}.\nNext: rollcall login, or set {CREDENTIAL} and {URL}.",
            ExitCode.NOT_LOGGED_IN,
        )
    return Access(url, login.session)
