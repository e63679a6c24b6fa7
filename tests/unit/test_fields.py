from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import fields

GOOD: list[tuple[Any, Any]] = [
    (fields.Name, "a"), (fields.Name, "9"), (fields.Name, "Edge-1.example_x"),
    (fields.Name, "a" * 63),
    (fields.Hostname, "h"), (fields.Hostname, "_"), (fields.Hostname, "h" * 253),
    (fields.Hostname, "a.b-c_d"), (fields.ShortText, "\U0001f4a5" * 128), (fields.ShortText, " "),
    (fields.Note, "é" * 500), (fields.Labels, {}), (fields.Labels, {"a/b.c-d_e": ""}),
    (fields.Labels, {f"k{n}": "v" * 128 for n in range(32)}), (fields.Nonce, "x" * 16),
    (fields.Nonce, "A-_9" * 16), (fields.Cidr, "2001:db8::/32"), (fields.Sequence, 1),
    (fields.Sequence, 2**53), (fields.Sha256, "0123456789abcdef" * 4),
    (fields.Filename, "a b.tar.gz"), (fields.Filename, "..."), (fields.Filename, ".x"),
    (fields.Filename, "..x"), (fields.Filename, "\U0001f4a5"), (fields.Filename, "f" * 255),
    (fields.ContentType, "application/x.y+z-1"), (fields.EnvironmentId, "env_" + "v" * 20),
    (fields.Pem, "-----BEGIN X-----\r\n=\n"), (fields.Metadata, {f"k{n}": "v" for n in range(16)}),
    (fields.AgentVersion, "0.2.0"), (fields.AgentVersion, "1+b-c."),
    (fields.AgentVersion, "a.latest"), (fields.AgentVersion, "latest1"),
    (fields.AgentVersion, "x" * 64),
]  # fmt: skip
BAD: list[tuple[Any, Any]] = [
    (fields.Name, ""), (fields.Name, "-a"), (fields.Name, "_a"), (fields.Name, ".a"),
    (fields.Name, "a" * 64), (fields.Name, "a\n"), (fields.Name, "é"), (fields.Name, "a/b"),
    (fields.Name, "a b"), (fields.Name, " "), (fields.Hostname, "."), (fields.Hostname, "a.."),
    (fields.Hostname, ""), (fields.Hostname, "-"), (fields.Hostname, "a-."),
    (fields.Hostname, "a-"),
    (fields.Hostname, "h" * 254), (fields.Hostname, "a\n"), (fields.Hostname, "a b"),
    (fields.ShortText, ""), (fields.ShortText, "x" * 129), (fields.ShortText, "a\x00"),
    (fields.ShortText, "\x7f"), (fields.ShortText, "a\n"), (fields.Note, "x" * 501),
    (fields.Labels, {"A": "x"}), (fields.Labels, {"": "x"}), (fields.Labels, {"/a": "x"}),
    (fields.Labels, {"a\n": "x"}), (fields.Labels, {f"k{n}": "v" for n in range(33)}),
    (fields.Nonce, "x" * 15), (fields.Nonce, "x" * 65), (fields.Nonce, "x" * 16 + "\n"),
    (fields.Nonce, "x y" * 8), (fields.Cidr, ""), (fields.Cidr, "10.0.0.0/8\n"),
    (fields.Sequence, 0), (fields.Sequence, 2**53 + 1), (fields.Sequence, True),
    (fields.Sequence, 1.0), (fields.Sha256, "A" * 64), (fields.Sha256, "0" * 63),
    (fields.Sha256, "0" * 64 + "\n"), (fields.Filename, ""), (fields.Filename, "."),
    (fields.Filename, ".."), (fields.Filename, "a/b"), (fields.Filename, "a\\b"),
    (fields.Filename, "../x"), (fields.Filename, "a\x00"), (fields.Filename, "a\n"),
    (fields.Filename, "f" * 256), (fields.ContentType, "text"), (fields.ContentType, "Text/plain"),
    (fields.ContentType, "text/plain; charset=x"), (fields.ContentType, "text/plain\n"),
    (fields.EnvironmentId, "env_" + "v" * 20 + "\n"), (fields.EnvironmentId, "org_" + "v" * 20),
    (fields.EnvironmentId, "x/env_" + "v" * 20), (fields.Pem, "\x00"), (fields.Pem, "é"),
    (fields.Pem, "x" * 8193), (fields.AgentVersion, "latest"), (fields.AgentVersion, "."),
    (fields.AgentVersion, ".."), (fields.AgentVersion, "-x"), (fields.AgentVersion, "+1"),
    (fields.AgentVersion, ""), (fields.AgentVersion, "x" * 65), (fields.AgentVersion, "1\n"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), GOOD, ids=range(len(GOOD)))
def test_a_good_value_is_taken_as_it_is(kind: Any, value: Any) -> None:
    assert fields.convert(value, kind) == value
    raw = msgspec.json.encode(value)
    assert msgspec.json.decode(raw, type=kind, dec_hook=fields.read_field) == value


@pytest.mark.parametrize(("kind", "value"), BAD, ids=range(len(BAD)))
def test_a_bad_value_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        fields.convert(value, kind)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(value), type=kind, dec_hook=fields.read_field)


@pytest.mark.parametrize(
    ("kind", "given_", "kept"),
    [
        (fields.DisplayName, " Berlin ", "Berlin"),
        (fields.DisplayName, "Mu\u0308nchen", "M\u00fcnchen"),
        (fields.DisplayName, "Ber\u00a0lin\u3000", "Ber lin"),
        (fields.DisplayName, "\u212bngstr\u00f6m", "\u00c5ngstr\u00f6m"),
        (fields.DisplayName, "\u0410dmin", "\u0410dmin"),  # Cyrillic: it looks alike and is not
        (fields.DisplayName, "a  b", "a  b"),
        (fields.DisplayName, "STRASSE", "STRASSE"),
        (fields.DisplayName, " " * 200 + "x" + " " * 200, "x"),
        (fields.Name, " edge-1 ", "edge-1"),
        (fields.Name, "\u212aelvin", "Kelvin"),
        (fields.Filename, " re\u0301sume\u0301.txt ", "r\u00e9sum\u00e9.txt"),
        (fields.Hostname, "Web-1.example.com.", "Web-1.example.com"),
        (fields.Hostname, " web-1 ", "web-1"),
        (fields.LabelValue, " ", ""),
        (fields.Labels, {"a": " re\u0301 "}, {"a": "r\u00e9"}),
        (fields.Metadata, {"a": "\u00a0"}, {"a": ""}),
    ],
)
def test_a_name_is_kept_in_its_one_form(kind: Any, given_: Any, kept: Any) -> None:
    assert fields.convert(given_, kind) == kept


UNSEEN = [
    "\x00", "\t", "\n", "\r", "\x1b", "\x7f", "\x85", "\u00ad", "\u034f", "\u061c", "\u115f",
    "\u180e", "\u200b", "\u200c", "\u200d", "\u200e", "\u200f", "\u2028", "\u2029", "\u202a",
    "\u202e", "\u2060", "\u2066", "\u2069", "\u2800", "\u3164", "\ud800", "\ufe0f", "\ufeff",
    "\ufff9", "\uffa0", "\uffff", "\U000e0041", "\U000e0100",
]  # fmt: skip


@pytest.mark.parametrize("sign", UNSEEN, ids=ascii)
def test_an_invisible_character_is_refused_and_named_by_its_number(sign: str) -> None:
    for kind in (fields.DisplayName, fields.LabelValue, fields.Filename):
        for text in (f"a{sign}b", f"{sign}a", f"a{sign}"):
            with pytest.raises(msgspec.ValidationError) as raised:
                fields.convert(text, kind)
            assert f"U+{ord(sign):04X}" in str(raised.value)
            assert sign not in str(raised.value)


def test_a_value_in_its_form_is_plain_text() -> None:
    read = fields.convert({"a": " b "}, dict[str, fields.LabelValue])
    assert type(read["a"]) is str
    assert msgspec.json.encode(read) == b'{"a":"b"}'


@given(st.text(max_size=80))
def test_no_name_is_a_path_or_breaks_a_line_or_a_key(text: str) -> None:
    try:
        name = fields.convert(text, fields.Name)
    except msgspec.ValidationError:
        return
    assert name.isascii()
    assert not set(name) & set("/\\#\n\r\x00 ~!")
    assert name not in {".", ".."}


@given(st.text(max_size=80))
def test_no_filename_leads_elsewhere(text: str) -> None:
    try:
        name = fields.convert(text, fields.Filename)
    except msgspec.ValidationError:
        return
    assert name not in {"", ".", ".."}
    assert not any(sign in name for sign in "/\\\x00\n\r")
