"""A clock that stands still, and remembers what would have been slept."""


class FrozenClock:
    """Milliseconds since the epoch; moved by hand."""

    def __init__(self) -> None:
        self.now = 1_780_000_000_000
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self.now

    def advance(self, *, seconds: float = 0, hours: float = 0, days: float = 0) -> None:
        """Let time go by."""
        self.now += int((seconds + hours * 3600 + days * 86_400) * 1000)
