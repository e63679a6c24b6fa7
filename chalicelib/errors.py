"""Domain errors: a stable code, a status, a dull public text, and a private cause for the log."""

from typing import Any, ClassVar


class DomainError(Exception):
    """Something that the caller is told.

    Args:
        detail: the public explanation; never contains a secret or another tenant's data.
        code: replaces the class's code, for one class that serves several reasons.
        cause: a private text for the log.
        extra: further members of the problem document (RFC 9457, section 3.2).
    """

    status: ClassVar[int] = 500
    code: str = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        cause: str | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.cause = cause
        self.extra = extra or {}


class Malformed(DomainError):
    """The request cannot be understood. Nothing was touched."""

    status = 400
    code = "validation_failed"
    title = "The request is not valid"


class Unauthenticated(DomainError):
    """No credential, a wrong one, or one of the wrong family."""

    status = 401
    code = "credential_invalid"
    title = "The credential was not accepted"


class Forbidden(DomainError):
    """The credential is right, and this is not allowed to it."""

    status = 403
    code = "scope_missing"
    title = "Not allowed"


class NotFound(DomainError):
    """No such thing in this organization; says the same of other organizations' things."""

    status = 404
    code = "not_found"
    title = "Not found"


class MethodNotAllowed(DomainError):
    """There is the path, and not with this method.

    Args:
        allowed: the methods that it has.
    """

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__(f"This path takes {', '.join(allowed)} and no other method.")
        self.allowed = allowed


class Conflict(DomainError):
    """The request is valid and the present state refuses it."""

    status = 409
    code = "conflict"
    title = "Conflict with the present state"


class Gone(DomainError):
    """The enrollment token was real and its time is over. Only its holder learns this."""

    status = 410
    code = "token_spent"
    title = "The enrollment token is no longer valid"


class TooLarge(DomainError):
    """The body, or the announced artifact, is over the limit."""

    status = 413
    code = "body_too_large"
    title = "Too large"


class UnsupportedType(DomainError):
    """The content type is not one that is accepted here."""

    status = 415
    code = "content_type_unsupported"
    title = "Unsupported content type"


class Wait(DomainError):
    """An answer with `Retry-After`.

    Args:
        detail: the public explanation.
        seconds: how long to wait; rounded up, at least one.
    """

    def __init__(self, detail: str, *, seconds: float = 1.0, **more: Any) -> None:  # noqa: ANN401
        super().__init__(detail, **more)
        self.seconds = max(1, int(-(-seconds // 1)))


class TooMany(Wait):
    """The caller went over a limit."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"


class Unavailable(Wait):
    """Our fault, for a moment: nothing was lost or spent, and trying again is right."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"


class Contention(Unavailable):
    """Too many writers at one row; never mistaken for a verdict on the credential."""

    code = "contention"
    title = "Busy"
