"""How long to try when somebody else writes the same row."""

from collections.abc import Callable, Iterator

import msgspec

from chalicelib.errors import Contention


class Patience(msgspec.Struct, frozen=True):
    """Attempts with full jitter between them, bounded so that an answer still reaches the caller.

    Args:
        sleep: waits for a number of seconds.
        random: a number from 0 up to 1.
        attempts: how many in all.
        first_pause: the most that is waited after the first one, in seconds; it doubles.
    """

    sleep: Callable[[float], None]
    random: Callable[[], float]
    attempts: int = 8
    first_pause: float = 0.04
    longest_pause: float = 1.0

    def rounds(self) -> Iterator[int]:
        """Count the attempts, with a pause between them.

        Raises:
            Contention: all were in vain. 503 with `Retry-After`, never a verdict.
        """
        for attempt in range(self.attempts):
            if attempt:
                ceiling = min(self.longest_pause, self.first_pause * 2 ** (attempt - 1))
                self.sleep(self.random() * ceiling)
            yield attempt
        raise Contention(
            "Too many requests wanted the same record at once. Nothing was spent; try again.",
            seconds=1 + 2 * self.random(),
        )
