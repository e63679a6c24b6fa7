"""How far this host's clock is from the control plane's, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rollcall_agent.answers import Answer
from rollcall_agent.say import Say

SET_THE_CLOCK: Final = (
    "set the clock, and let it be kept (systemd-timesyncd, chrony, or the host's own way)"
)
# Seconds. An answer may be on its way for half of that.
_WORTH_A_WORD: Final = 60.0


def in_words(ahead: float) -> str:
    """Describe a difference.

    Args:
        ahead: by how many seconds this host's clock shows a later time.
    """
    way = "ahead of" if ahead > 0 else "behind"
    return f"This host's clock is {abs(ahead):.0f} s {way} the control plane's"


@dataclass
class SkewWatch:
    """Warns of a clock that is wrong, once until it was right again."""

    say: Say
    is_told: bool = False

    def look(self, answer: Answer, now: float) -> None:
        """Compare this host's time with the one of an answer, if that names one."""
        there = answer.moment("server_time")
        if there is None:
            return
        ahead = now - there
        is_wrong = abs(ahead) > _WORTH_A_WORD
        if is_wrong and not self.is_told:
            self.say.warn(f"{in_words(ahead)}. Next: {SET_THE_CLOCK}.")
        self.is_told = is_wrong
