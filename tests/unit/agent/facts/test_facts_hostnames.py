"""Whatever a host is called, the control plane takes it, and people know the host by it."""

from __future__ import annotations

import unicodedata

import msgspec
import pytest
from rollcall_agent.facts.hostnames import hostname_of, told_apart

from chalicelib.fields import Hostname, Name, read_field
from chalicelib.flows.enrollment import ExchangeRequest
from chalicelib.flows.new_identity import attempt_names

LONG = "web-1." + "subdomain." * 30 + "example.com"
ODD = [
    "web 1", "Bob's laptop", "Jürgens MacBook Pro.local", "web-🚀", "🚀", "a/b\\c", "-web-1",
    "web-1-", "web\t1", "web\x001", "web\x7f1", "web-1\u202e", "web\u200b1", "a" * 254, LONG,
    "ü" * 80, "fd00::1", "\uff57\uff45\uff42 1", "\udcff\udcfeweb", "\udcff", "---", "é!",
    "東京 1", "e\u0301 1",
]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "web-1", "WEB-1", "web_1", "_web", "1web", "10.0.0.5", "web-1.example.com", "ip-10-0-0-5",
        "4f2a9c0d1e", "xn--bcher-kva.example", "a" * 253, "a..b", "a",
    ],
)  # fmt: skip
def test_a_good_name_stays_as_it_is(name: str) -> None:
    assert hostname_of(name) == name


@pytest.mark.parametrize(
    "text", ["web-1.example.com.", " web-1.example.com ", "web-1.example.com.."]
)
def test_dots_and_blanks_around_a_name_are_no_part_of_it(text: str) -> None:
    assert hostname_of(text) == "web-1.example.com"


@pytest.mark.parametrize("text", ["", " ", ".", "...", "(none)", "\n"])
def test_a_text_without_a_name_is_none(text: str) -> None:
    assert hostname_of(text) == ""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("bücher.example.com", "xn--bcher-kva.example.com"),
        ("BÜCHER.example.com.", "xn--bcher-kva.example.com"),
        (unicodedata.normalize("NFD", "bücher"), "xn--bcher-kva"),
        ("straße", "xn--strae-oqa"),
        ("東京", "xn--1lqs71d"),
    ],
)
def test_letters_beyond_ascii_are_written_as_dns_has_them(text: str, name: str) -> None:
    assert hostname_of(text) == name


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("web 1", "web-1-"), ("Bob's laptop", "Bob-s-laptop-"), ("web-🚀", "web-"),
        ("-web-1", "web-1-"), ("Jürgens MacBook Pro.local", "Jurgens-MacBook-Pro-"),
        (LONG, "web-1-"), ("a" * 254, "aaaa"), ("fd00::1", "fd00-1-"), ("ü" * 80, "uuuu"),
        ("🚀", "host-"),
    ],
)  # fmt: skip
def test_of_any_other_text_what_people_know_stays(text: str, stem: str) -> None:
    assert hostname_of(text).startswith(stem)


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_the_control_plane_takes_it_as_hostname_and_as_name(text: str) -> None:
    found = hostname_of(text)
    assert msgspec.convert(found, Hostname, dec_hook=read_field) == found
    stem = next(attempt_names(ExchangeRequest(hostname=found)))
    assert msgspec.convert(stem, Name, dec_hook=read_field) == stem
    assert found.partition(".")[0][-8:] in stem
    assert hostname_of(text) == found
    assert hostname_of(found) == found


def test_different_texts_are_different_hosts() -> None:
    found = {hostname_of(text) for text in [*ODD, "web-1", "web", "a" * 253]}
    assert len(found) == len(ODD) + 3


def test_of_what_tells_hosts_apart_only_a_digest_is_shown() -> None:
    assert told_apart("localhost", by="feed") != told_apart("localhost", by="beef")
    assert "feed" not in told_apart("localhost", by="feed")


def test_long_names_that_begin_alike_become_different_names() -> None:
    stems = set()
    for end in "ab":
        hostname = "deployment-of-a-service-with-a-very-long-name-7d9f8b6c5d-" + end * 5
        stem = next(attempt_names(ExchangeRequest(hostname=hostname)))
        assert stem.startswith("deployment-of-a-service-with-a-very-long-name")
        assert len(stem) <= 56
        stems.add(stem)
    assert len(stems) == 2


@pytest.mark.parametrize(
    ("hostname", "name"), [("web_1", "web-1"), ("_web", "web"), ("_", "agent"), (None, "agent")]
)
def test_a_name_follows_from_the_hostname(hostname: str | None, name: str) -> None:
    assert next(attempt_names(ExchangeRequest(hostname=hostname))) == name
