"""The page about who may do what is made from the code, and up to date."""

from tests.contract.access_document import DOCUMENT, render


def test_the_page_is_what_the_tables_say() -> None:
    assert DOCUMENT.read_text("utf-8") == render(), "write it anew: make schemas"
