"""Times as callers write them: RFC 3339, with a zone."""

import datetime

_EPOCH = datetime.datetime.fromtimestamp(0, tz=datetime.UTC)


def moment(text: str) -> int:
    """Milliseconds since the epoch.

    Raises:
        ValueError: not such a time, in words that the caller may be told.
    """
    try:
        read = datetime.datetime.fromisoformat(text)
        if read.tzinfo is not None:
            # In UTC first: a zone may carry the last day of the calendar out of it. No floats:
            # they round up.
            return (read.astimezone(datetime.UTC) - _EPOCH) // datetime.timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise ValueError("a time as in RFC 3339") from error
    raise ValueError("a time with its zone, as in RFC 3339")
