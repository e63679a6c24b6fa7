import re
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from chalicelib.evidence import envelope
from chalicelib.evidence.catalog import ALL
from chalicelib.evidence.events import Detail

SCHEMAS = envelope.schemas()
SECRET_WORDS = {"key", "token", "secret", "csr", "pem", "certificate", "fingerprint", "machine_id",
                "password", "runtime_key", "machine_fingerprint"}  # fmt: skip


def members(schema: dict[str, Any]) -> dict[str, Any]:
    """The members of an event's own part."""
    reference = schema["properties"]["detail"]["$ref"].removeprefix("#/$defs/")
    found = schema["$defs"][reference]
    assert isinstance(found, dict)
    return found


def test_every_event_has_a_schema_and_a_name_of_its_own() -> None:
    kinds = Detail.__subclasses__()
    assert set(SCHEMAS) == set(ALL) == {kind.NAME for kind in kinds}
    assert len(ALL) == len(kinds), "two events share a name"


@pytest.mark.parametrize("name", ALL)
def test_a_schema_is_one_and_closed(name: str) -> None:
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert schema["title"] == name
    assert schema["description"]
    assert schema["additionalProperties"] is False
    assert members(schema)["additionalProperties"] is False
    assert schema["properties"]["event"] == {"const": name}
    assert schema["properties"]["version"] == {"const": 1}
    assert set(schema["required"]) == set(schema["properties"])


@pytest.mark.parametrize("name", ALL)
def test_a_name_says_of_what_and_what_happened(name: str) -> None:
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)


@pytest.mark.parametrize("name", ALL)
def test_no_member_of_an_event_is_a_secret(name: str) -> None:
    assert not set(members(SCHEMAS[name])["properties"]) & SECRET_WORDS


@pytest.mark.parametrize("name", ALL)
def test_a_member_with_a_default_came_later_and_none_came_without(name: str) -> None:
    # Append-only: what a consumer of version 1 relies on stays required.
    detail = members(SCHEMAS[name])
    kind = ALL[name]
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    assert set(detail["required"]) == required


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1, "1970-01-01T00:00:00.001Z"),
        (1_780_000_000_000, "2026-05-28T20:26:40.000Z"),
        (1_780_000_000_999, "2026-05-28T20:26:40.999Z"),
    ],
)
def test_times_are_utc_with_milliseconds(milliseconds: int, text: str) -> None:
    assert envelope.rfc3339(milliseconds) == text


def test_every_millisecond_has_a_text_of_its_own() -> None:
    start = 1_780_000_000_000
    assert len({envelope.rfc3339(start + offset) for offset in range(2_000)}) == 2_000
