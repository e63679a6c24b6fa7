"""Which of a token's rows counts the next use, and the end of all of them."""

from collections.abc import Callable, Iterable

from chalicelib.errors import Contention
from chalicelib.flows import admission
from chalicelib.flows.contention import Patience
from chalicelib.store import token_counters
from chalicelib.store.enrollment_tokens import REVOKED, EnrollmentTokenItem
from chalicelib.store.transaction import Cancelled, Transaction


class Counters:
    """The rows that may still count a use, as far as one exchange has seen them.

    A use never comes back, so when no row has one left the token is spent, and not before: nobody
    is refused while there is a use.

    Args:
        organization: the token's.
        token: whose uses are counted.
        rows: the token's counter rows, or the token that counts its uses itself.
        random: a number from 0 up to 1.
    """

    def __init__(
        self,
        organization: str,
        token: EnrollmentTokenItem,
        rows: Iterable[EnrollmentTokenItem],
        random: Callable[[], float],
    ) -> None:
        self._organization = organization
        self._token = token
        self._left = _with_uses_left(rows)
        self._random = random

    def pick(self) -> EnrollmentTokenItem:
        """A row by chance, the more likely the more uses it has.

        Raises:
            Gone: all are spent.
        """
        rows = self._left
        if not rows:
            raise admission.spent()
        point = self._random() * sum(map(_uses_left, rows))
        for row in rows[:-1]:
            point -= _uses_left(row)
            if point < 0:
                return row
        return rows[-1]

    def go_on_after(self, cancelled: Cancelled) -> bool:
        """Whether one row was found spent, and no more, while another has a use.

        Raises:
            Unavailable: the database did not answer.
        """
        row = EnrollmentTokenItem.from_item(cancelled.item("token"))
        if row is None or row.counter is None:
            return False
        if row.status == REVOKED or _uses_left(row) > 0:
            return False
        # What was seen of the others is as old: near the end they are spent one after the other.
        self._left = _with_uses_left(token_counters.read(self._organization, self._token))
        return bool(self._left)


def close(patience: Patience, organization: str, token: EnrollmentTokenItem) -> None:
    """End all counter rows of a revoked token: after this, no exchange that began before succeeds.

    An exchange that begins later is refused by the token's own row. One after the other, since
    one transaction over all of them would hardly ever meet none that is in use.

    Raises:
        Contention: some are in use; to be repeated.
        Unavailable: the database did not answer.
    """
    left = [row for row in token_counters.read(organization, token) if row.status != REVOKED]
    if not left:
        return
    try:
        for _ in patience.rounds():
            left = [row for row in left if not _closed(organization, row)]
            if not left:
                return
    except Contention as error:
        raise Contention(
            "The enrollment token is revoked, but a host that is enrolling at this moment may "
            "still succeed. Ask again until this is answered with success.",
            seconds=error.seconds,
        ) from error


def _closed(organization: str, row: EnrollmentTokenItem) -> bool:
    transaction = Transaction()
    token_counters.close(transaction, organization, row)
    cancelled = transaction.write()
    return cancelled is None or not cancelled.contended


def _with_uses_left(rows: Iterable[EnrollmentTokenItem]) -> list[EnrollmentTokenItem]:
    return [row for row in rows if _uses_left(row) > 0]


def _uses_left(row: EnrollmentTokenItem) -> int:
    return int(row.max_uses) - int(row.uses)
