"""Who may try a password at all, and how often; decided before any password is looked at.

The counts that an attempt must pass (docs/decisions/0018):

- of name and source together, from where this name has logged in lately. It stands in place of
  the source's and the name's own: whoever guesses elsewhere, or at other names from the same
  address, does not lock a person out of their own place;
- of the source, for all others;
- of the stage: as many passwords a second as leave the functions free for heartbeats. It is asked
  early, so that a flood that it stops costs little more;
- of the name, for all others.
"""

import hashlib
import ipaddress
from collections.abc import Callable
from contextlib import suppress

import msgspec

from chalicelib.errors import TooMany, Unavailable
from chalicelib.flows.contention import Patience
from chalicelib.store import login_attempts
from chalicelib.store.login_attempts import Limit, Locked, Moved, Outcome, Unknown
from chalicelib.telemetry import count

OF_NAME = Limit(free=5)
OF_SOURCE = Limit(free=30)
KNOWN_FOR_MS = 30 * 86_400_000
MOST_IN_A_SLICE = 20
"""Passwords that are hashed in a slice, for the whole stage: half of one function's time."""
SLICE_MS = 1_000
_LONGEST_SOURCE = 64


class Reservation(msgspec.Struct, frozen=True):
    """An attempt that may be made, and the rows in which it counts.

    Args:
        name: the row of the name, or of name and source.
        source: the row of the source; None where the attempt does not count there.
        known: the row of name and source, which a success makes known.
    """

    name: str
    source: str | None
    known: str

    def succeeded(self, now: int) -> None:
        """The password was right: the name's count begins anew, and the source has not failed.

        A count that stays for once does no harm but to lock a little early.
        """
        with suppress(Unavailable):
            if self.name != self.known:
                login_attempts.forget(self.name)
            login_attempts.remember(self.known, now, now + KNOWN_FOR_MS)
            if self.source is not None:
                login_attempts.give_back(self.source)


def reserve(
    patience: Patience, username: str, source_address: str | None, now: int, *, cost: int = 1
) -> Reservation:
    """Count an attempt on a name that somebody typed, whether it is anybody's or not.

    Args:
        patience: how contention is waited out.
        username: in lower case.
        source_address: from where.
        now: milliseconds since the epoch.
        cost: how many passwords are hashed for it.

    Raises:
        TooMany: too often, for the name, the source or the stage.
        Contention: to be repeated.
    """
    name = hashlib.sha256(username.encode()).hexdigest()
    source = source_of(source_address)
    of_name, of_source = f"login#name#{name}", f"login#source#{source}"
    known = f"login#known#{name}#{source}"
    # First, so that a stale script does not lock out everybody who shares its address.
    outcome = _ask(patience, lambda: login_attempts.reserve_known(known, OF_NAME, now), "name")
    is_known = not isinstance(outcome, Unknown)
    if not is_known:
        count_source(patience, of_source, now)
    try:
        spend(now, cost)
    except TooMany:
        # Nobody has failed where no password is looked at.
        _give_back(known if is_known else of_source)
        raise
    if is_known:
        return Reservation(known, None, known)
    _ask(patience, lambda: login_attempts.reserve(of_name, OF_NAME, now), "name")
    return Reservation(of_name, of_source, known)


def _give_back(pk: str) -> None:
    with suppress(Unavailable):
        login_attempts.give_back(pk)


def count_source(patience: Patience, pk: str, now: int) -> None:
    """Count an attempt in the row of a source.

    Raises:
        TooMany: too often, from there.
        Contention: to be repeated.
    """
    _ask(patience, lambda: login_attempts.reserve(pk, OF_SOURCE, now), "source")


def spend(now: int, cost: int = 1, *, budget: str = "login#budget") -> None:
    """Take what hashing so many passwords costs from what this moment has for the stage.

    Args:
        now: milliseconds since the epoch.
        cost: how much.
        budget: from which; each has as much in a slice.

    Raises:
        TooMany: it has no more.
        Unavailable: the database did not answer.
    """
    moment = now // SLICE_MS
    if not login_attempts.spend(f"{budget}#{moment}", cost, MOST_IN_A_SLICE, now):
        count("LoginBusy")
        left = SLICE_MS - now % SLICE_MS
        raise TooMany("Too many logins at this moment.", code="login_busy", seconds=left / 1000)


def source_of(address: str | None) -> str:
    """What counts as one source: an IPv4 address, or the IPv6 network that one host is given."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        # API Gateway tells an address; whatever else this is, it is one and the same source.
        return (address or "unknown")[:_LONGEST_SOURCE]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def _ask(patience: Patience, attempt: Callable[[], Outcome], of: str) -> Outcome:
    for _ in patience.rounds():
        outcome = attempt()
        if isinstance(outcome, Locked):
            count("LoginLocked", of=of)
            raise TooMany(
                "Too many failed logins. Try again later.",
                code="login_locked",
                seconds=outcome.wait / 1000,
            )
        if not isinstance(outcome, Moved):
            return outcome
    raise AssertionError("unreachable: patience raises")
