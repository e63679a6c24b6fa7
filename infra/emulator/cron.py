"""EventBridge schedule expressions: ``rate(...)`` and ``cron(...)``."""

import re
from datetime import UTC, datetime, timedelta

_RATE = re.compile(r"rate\((\d+) (minute|minutes|hour|hours|day|days)\)")
_CRON = re.compile(r"cron\(([^)]+)\)")
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (1, 7), (1970, 2199))
# A leap day on a given weekday comes within 40 years.
_FAR = timedelta(days=366 * 41)


class ScheduleError(ValueError):
    """The expression is not understood."""


class Schedule:
    """When a rule fires.

    Args:
        expression: As EventBridge takes it.
    """

    def __init__(self, expression: str) -> None:
        self._period: timedelta | None = None
        self._fields: list[set[int] | None] = []
        if found := _RATE.fullmatch(expression):
            unit = found[2].rstrip("s") + "s"
            self._period = timedelta(**{unit: int(found[1])})
            if not self._period:
                raise ScheduleError(f"{expression}: a rate of zero")
        elif found := _CRON.fullmatch(expression):
            self._fields = _parse_fields(expression, found[1].split())
        else:
            raise ScheduleError(f"{expression}: neither rate nor cron")

    def after(self, moment: datetime) -> datetime | None:
        """The first time after the moment at which the rule fires; None when never again."""
        if self._period is not None:
            return moment + self._period
        candidate = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        end = candidate + _FAR
        while candidate < end:
            if not self._day_fits(candidate):
                candidate = candidate.replace(hour=0, minute=0) + timedelta(days=1)
            elif not _fits(self._fields[1], candidate.hour):
                candidate = candidate.replace(minute=0) + timedelta(hours=1)
            elif not _fits(self._fields[0], candidate.minute):
                candidate += timedelta(minutes=1)
            else:
                return candidate
        return None

    def _day_fits(self, moment: datetime) -> bool:
        _, _, days, months, weekdays, years = self._fields
        # EventBridge counts weekdays from Sunday = 1.
        weekday = moment.isoweekday() % 7 + 1
        return (
            _fits(years, moment.year)
            and _fits(months, moment.month)
            and _fits(days, moment.day)
            and _fits(weekdays, weekday)
        )


def _fits(allowed: set[int] | None, value: int) -> bool:
    return allowed is None or value in allowed


def _parse_fields(expression: str, texts: list[str]) -> list[set[int] | None]:
    if len(texts) != len(_RANGES):
        raise ScheduleError(f"{expression}: six fields are needed")
    try:
        return [
            _parse_field(_names_to_numbers(text.upper(), index), *limits)
            for index, (text, limits) in enumerate(zip(texts, _RANGES, strict=True))
        ]
    except ValueError as error:
        raise ScheduleError(f"{expression}: {error}") from error


def _names_to_numbers(text: str, index: int) -> str:
    names = {3: _MONTHS, 4: _DAYS}.get(index, [])
    for number, name in enumerate(names, start=1):
        text = text.replace(name, str(number))
    return text


def _parse_field(text: str, low: int, high: int) -> set[int] | None:
    if text in {"*", "?"}:
        return None
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        else:
            start, _, stop = span.partition("-")
            first = int(start)
            last = int(stop) if stop else high if step else first
        if not low <= first <= high or not low <= last <= high:
            raise ValueError(f"{part} is out of range")
        values.update(range(first, last + 1, int(step) if step else 1))
    return values
