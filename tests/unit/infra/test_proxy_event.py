"""What the emulated gateway makes of headers and bodies that are not as they should be."""

from typing import Any

from infra.emulator.proxy_event import Origin, build_event
from infra.emulator.routing import Match, Route
from infra.emulator.wire import parse_head


def event(*headers: str, body: bytes = b"") -> dict[str, Any]:
    """The event of a request with these header lines."""
    head = parse_head("\r\n".join(("POST /dev/x HTTP/1.1", *headers)).encode("utf-8"))
    origin = Origin("api", "dev", {}, "1", "host", 1, "192.0.2.1", "r-1", "/x", "")
    return build_event(head, body, Match(Route("/x", "POST", "arn"), {}), origin, binary=False)


def test_every_value_of_a_header_is_passed_on_and_the_last_one_alone() -> None:
    made = event("Authorization: a", "authorization: b", "X-One: 1")
    assert made["multiValueHeaders"]["Authorization"] == ["a", "b"]
    assert made["headers"]["Authorization"] == "b"
    assert "authorization" not in made["headers"]
    assert made["headers"]["X-One"] == "1"


def test_blanks_around_a_value_are_no_part_of_it_and_other_signs_are() -> None:
    made = event("Authorization: \t Bearer x \t", "X-One: x\u00a0")
    assert made["headers"]["Authorization"] == "Bearer x"
    assert made["headers"]["X-One"] != "x"


def test_a_byte_that_is_no_utf_8_is_a_replacement_character() -> None:
    assert event(body=b'{"a":"\xe9"}')["body"] == '{"a":"\ufffd"}'
