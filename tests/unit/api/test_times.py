"""Times as callers write them."""

import pytest

from chalicelib.api.times import moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-05-28T20:26:40.123Z", 1_780_000_000_123),
        ("2026-05-28T22:26:40.123+02:00", 1_780_000_000_123),
        ("2026-05-28T20:26:40.123999Z", 1_780_000_000_123),
        ("1969-12-31T23:59:59Z", -1000),
    ],
)
def test_a_time_is_milliseconds_whatever_its_zone_and_never_rounded_up(
    text: str, expected: int
) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text", ["", "now", "1780000000", "2026-13-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "\x00"]
)
def test_what_is_no_time_is_refused_in_words_for_the_caller(text: str) -> None:
    with pytest.raises(ValueError, match="a time"):
        moment(text)


@pytest.mark.parametrize("text", ["2026-05-28", "2026-05-28T20:26:40"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="with its zone"):
        moment(text)
