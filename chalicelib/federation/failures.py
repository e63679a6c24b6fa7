"""What can be wrong with a provider: a reason for the log, never for the public answer."""


class ProviderError(Exception):
    """The provider could not be asked, or did not answer as the standard says.

    Args:
        reason: a short code.
        cause: a private explanation.
    """

    def __init__(self, reason: str, cause: str) -> None:
        super().__init__(f"{reason}: {cause}")
        self.reason = reason


class TokenError(Exception):
    """An ID token that proves nothing.

    Args:
        reason: a short code; never a part of the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
