"""How often providers are asked for people who are not known yet; decided before anything goes out.

Whoever answers a browser, and whoever asks us, may be strangers: each request to a provider can
hold a worker for seconds. Counts of their own, so that a flood here stops no login by password.
"""

import datetime
import hashlib
from contextlib import suppress

import msgspec

from chalicelib.errors import TooMany, Unauthenticated, Unavailable
from chalicelib.flows import login_guard
from chalicelib.flows.contention import Patience
from chalicelib.store import login_attempts, people
from chalicelib.store.transaction import Transaction

_BUDGET = "login#provider#budget"
_KEPT = datetime.timedelta(hours=1)


class Reservation(msgspec.Struct, frozen=True):
    """A request to a provider that may be made, and the row in which it counts."""

    source: str

    def succeeded(self) -> None:
        """The provider answered and vouched: the source has not failed."""
        # A count that stays for once does no harm but to lock a little early.
        with suppress(Unavailable):
            login_attempts.give_back(self.source)


def reserve(patience: Patience, source_address: str | None, now: int) -> Reservation:
    """Count what is about to be asked of a provider.

    Raises:
        TooMany: too often, for the source or the stage.
        Contention: to be repeated.
    """
    source = f"login#provider#source#{login_guard.source_of(source_address)}"
    login_guard.count_source(patience, source, now)
    reservation = Reservation(source)
    try:
        login_guard.spend(now, budget=_BUDGET)
    except TooMany:
        # Nobody has failed where no provider is asked.
        reservation.succeeded()
        raise
    return reservation


def take(patience: Patience, state: str, now: int, until: int) -> None:
    """Take the answer to a login, once: a copied cookie with a copied answer sends nothing out.

    Args:
        patience: how contention is waited out.
        state: the login's.
        now: milliseconds since the epoch.
        until: when the state is worth nothing by itself.

    Raises:
        Unauthenticated: it was taken before.
        Contention: to be repeated.
    """
    name = f"login#oidc#{hashlib.sha256(state.encode()).hexdigest()}"
    end = datetime.datetime.fromtimestamp(until // 1000, tz=datetime.UTC)
    for _ in patience.rounds():
        # A transaction, though of one row: one that the SDK repeats is known by its token, and the
        # repetition is not told that somebody came before it.
        transaction = Transaction()
        people.put_new(transaction, "state", name, "state", created_at=now, ttl=end + _KEPT)
        cancelled = transaction.write()
        if cancelled is None:
            return
        if cancelled.refused:
            raise begin_anew("login_state_invalid", "the answer was taken before")
    raise AssertionError("unreachable: patience raises")


def begin_anew(code: str, cause: str) -> Unauthenticated:
    """The answer to a browser that has to begin again."""
    return Unauthenticated(
        "This browser began no such login, or too long ago. Begin anew.", code=code, cause=cause
    )
