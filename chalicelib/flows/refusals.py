"""Evidence of refusals: at most one record per resource, reason and minute."""

from chalicelib.evidence.record import Evidence
from chalicelib.store import audit_records

_REMEMBERED = 2_000


class RefusalLog:
    """Writes the evidence of a refusal once; a worker remembers what it wrote.

    The row's key already makes a second record impossible; the memory saves its request.
    """

    def __init__(self) -> None:
        self._written: dict[str, None] = {}

    def record(self, evidence: Evidence) -> None:
        """Write a refusal's record unless this minute has it.

        Raises:
            Unavailable: the database did not answer; no evidence, no answer.
        """
        if evidence.id in self._written:
            return
        audit_records.put_once(evidence)
        if len(self._written) >= _REMEMBERED:
            self._written.clear()
        self._written[evidence.id] = None
