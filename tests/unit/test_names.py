"""Which names are one name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import names

SAME = [
    ("Berlin", "berlin"), ("Berlin", " BERLIN "), ("M\u00fcnchen", "Mu\u0308nchen"),
    ("M\u00fcnchen", "MU\u0308NCHEN"), ("Stra\u00dfe", "STRASSE"), ("Stra\u1e9ee", "strasse"),
    ("\u03a3\u0399\u03a3\u03a5\u03a6\u039f\u03a3", "\u03c3\u03b9\u03c3\u03c5\u03c6\u03bf\u03c2"),
    ("a b", "a\u00a0b"), ("a b", "a\u2003b"), ("\u212bland", "\u00e5land"),
    ("\u1e69", "s\u0307\u0323"), ("\ud55c", "\u1112\u1161\u11ab"),
]  # fmt: skip
OTHERS = [
    ("admin", "\u0430dmin"), ("web1", "webl"), ("prod", "pr0d"), ("a b", "ab"), ("a b", "a  b"),
    ("cafe", "caf\u00e9"), ("\u00bd", "1/2"), ("\u2460", "1"), ("\uff21", "A"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_case_spelling_and_blanks_at_the_ends_make_no_other_name(one: str, other: str) -> None:
    assert names.folded(one) == names.folded(other)


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_what_looks_alike_stays_another_name(one: str, other: str) -> None:
    assert names.folded(one) != names.folded(other)


@given(st.text(max_size=40))
def test_the_forms_are_final(text: str) -> None:
    assert names.normal(names.normal(text)) == names.normal(text)
    assert names.folded(names.normal(text)) == names.folded(text)
    assert names.folded(names.folded(text)) == names.folded(text)


@given(st.text(max_size=40))
def test_a_key_of_before_the_normal_form_is_recognised(text: str) -> None:
    assert names.folded(text.lower()) == names.folded(text)


@given(st.text(st.characters(max_codepoint=127), max_size=40))
def test_the_key_of_an_ascii_name_is_what_it_always_was(text: str) -> None:
    assert names.folded(text.strip(" ")) == text.strip(" ").lower()


@pytest.mark.parametrize("host", ["web-1.example.com", "WEB-1.Example.COM.", "web-1.example.com."])
def test_a_hostname_is_compared_without_case_and_the_dot_of_the_root(host: str) -> None:
    assert names.same_host(host) == "web-1.example.com"


def test_one_dot_alone_is_of_the_root() -> None:
    assert names.same_host("web-1..") != names.same_host("web-1")
