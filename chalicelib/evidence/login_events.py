"""What people do with their logins, sessions and personal API tokens."""

from chalicelib.evidence.events import Detail


class UserLoggedIn(Detail, frozen=True, kw_only=True):
    """A person proved who they are and got a session of the organization."""

    NAME = "user.logged_in"
    user_id: str
    session_id: str
    method: str


class UserLoginFailed(Detail, frozen=True, kw_only=True):
    """Somebody tried to log in as this person; told to the organization that made the account.

    At most one a minute for each source address and reason.
    """

    NAME = "user.login_failed"
    user_id: str
    reason: str


class UserLoggedOut(Detail, frozen=True, kw_only=True):
    """A person ended the session in use, or, `everywhere`, all of them but `kept_session_id`."""

    NAME = "user.logged_out"
    user_id: str
    session_id: str
    everywhere: bool = False
    kept_session_id: str | None = None


class SessionRevoked(Detail, frozen=True, kw_only=True):
    """A person ended one of their sessions, by name."""

    NAME = "session.revoked"
    user_id: str
    session_id: str


class PersonalTokenCreated(Detail, frozen=True, kw_only=True):
    """A person made a personal API token."""

    NAME = "personal_token.created"
    user_id: str
    personal_token_id: str
    name: str
    scopes: list[str]
    expires_at: str


class PersonalTokenRevoked(Detail, frozen=True, kw_only=True):
    """A person ended a personal API token."""

    NAME = "personal_token.revoked"
    user_id: str
    personal_token_id: str


class UserPasswordChanged(Detail, frozen=True, kw_only=True):
    """A person changed the password; all sessions but `kept_session_id` ended with the old one."""

    NAME = "user.password_changed"
    user_id: str
    kept_session_id: str


class UserUpdated(Detail, frozen=True, kw_only=True):
    """A person changed how they are called."""

    NAME = "user.updated"
    user_id: str
    display_name: str | None
    previous_display_name: str | None = None
