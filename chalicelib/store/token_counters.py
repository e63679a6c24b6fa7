"""The rows that count a token's uses.

Of transactions that overlap on one row, DynamoDB cancels all but one. A token of few uses counts
them in its own row. One of many has counter rows beside it, each with a part of the uses and
everything that an exchange is conditional on, so that hosts can enroll side by side without one
common row (docs/decisions/0012). A use never comes back: a counter that was seen spent stays so.
"""

from collections.abc import Iterable, Sequence

from chalicelib.store import enrollment_tokens
from chalicelib.store.enrollment_tokens import ACTIVE, REVOKED, EnrollmentTokenItem, expiry
from chalicelib.store.table import Key, read_all
from chalicelib.store.transaction import Transaction

MOST = 16
FEWEST_USES = 25
"""A counter row of fewer uses would be spent before it takes any load off another."""

_KEYS_PER_READ = 100


def rows_for(max_uses: int) -> int:
    """How many counter rows a token of so many uses has; 0 where its own row counts them."""
    rows = min(MOST, max_uses // FEWEST_USES)
    return rows if rows > 1 else 0


def mint(transaction: Transaction, organization: str, token: EnrollmentTokenItem) -> None:
    """Add the counter rows of a token that is being minted; their uses add up to the token's."""
    rows = int(token.counters or 0)
    for number in range(rows):
        row = EnrollmentTokenItem(
            _pk(organization, token.token, number),
            token=token.token,
            counter=number,
            status=ACTIVE,
            digest=token.digest,
            uses=0,
            max_uses=(int(token.max_uses) + number) // rows,
            created_at=token.created_at,
            expires_at=token.expires_at,
            ttl=expiry(int(token.expires_at)),
        )
        transaction.put(f"counter {number}", row, EnrollmentTokenItem.pk.does_not_exist())


def keys_of(organization: str, token: EnrollmentTokenItem) -> list[Key]:
    """Where the counter rows of a token live; none where its own row counts."""
    return [
        (EnrollmentTokenItem, _pk(organization, token.token, number), None)
        for number in range(int(token.counters or 0))
    ]


def read(organization: str, token: EnrollmentTokenItem) -> list[EnrollmentTokenItem]:
    """The counter rows of a token, as they are now.

    Raises:
        Unavailable: the database did not answer.
    """
    keys = keys_of(organization, token)
    return [row for row in read_all(keys) if isinstance(row, EnrollmentTokenItem)] if keys else []


def sum_up(token: EnrollmentTokenItem, counters: Iterable[EnrollmentTokenItem]) -> None:
    """Show on a token the uses that its counter rows count."""
    if token.counters:
        token.uses = sum(int(row.uses) for row in counters)


def find(organization: str, token: str) -> EnrollmentTokenItem | None:
    """A token with its uses, as it is now."""
    row = enrollment_tokens.find(organization, token)
    if row is not None:
        sum_up(row, read(organization, row))
    return row


def sum_up_all(organization: str, tokens: Sequence[EnrollmentTokenItem]) -> None:
    """Show on each token its uses; many counter rows come in one request."""
    keys = [key for token in tokens for key in keys_of(organization, token)]
    counted: dict[str, list[EnrollmentTokenItem]] = {}
    for start in range(0, len(keys), _KEYS_PER_READ):
        for row in read_all(keys[start : start + _KEYS_PER_READ]):
            if isinstance(row, EnrollmentTokenItem):
                counted.setdefault(row.token, []).append(row)
    for token in tokens:
        sum_up(token, counted.get(token.token, []))


def redeem(
    transaction: Transaction,
    organization: str,
    counter: EnrollmentTokenItem,
    *,
    digest: bytes,
    now: int,
) -> None:
    """Add the consumption of one use, on condition that the token still admits (part `token`).

    Args:
        transaction: takes it.
        organization: the token's.
        counter: one of the token's counter rows, or the token where it counts its uses itself.
        digest: of the secret that the caller holds.
        now: milliseconds since the epoch.
    """
    item = EnrollmentTokenItem
    transaction.update(
        "token",
        item(_pk(organization, counter.token, counter.counter)),
        [item.uses.add(1)],
        (item.digest == digest)
        & (item.status == ACTIVE)
        & (item.expires_at > now)
        & (item.uses < item.max_uses),
    )


def check_not_revoked(
    transaction: Transaction, organization: str, receipt: EnrollmentTokenItem
) -> None:
    """Add the condition under which a replay is served (part `token`).

    Spent and expired it is, revoked it is not. The row is the one that counted the receipt's use:
    replays of one token, as after an outage, do not all meet on the token's row.
    """
    item = EnrollmentTokenItem
    counted = item(_pk(organization, receipt.token, receipt.counter))
    transaction.check("token", counted, item.status == ACTIVE)


def close(transaction: Transaction, organization: str, counter: EnrollmentTokenItem) -> None:
    """Add the end of a counter row, after its token's (part `counter`)."""
    item = EnrollmentTokenItem
    transaction.update(
        "counter",
        item(_pk(organization, counter.token, counter.counter)),
        [item.status.set(REVOKED)],
        item.pk.exists() & (item.status != REVOKED),
    )


def _pk(organization: str, token: str, number: float | None) -> str:
    own = f"{organization}#{token}"
    return own if number is None else f"{own}#uses#{int(number)}"
