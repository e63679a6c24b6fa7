"""What API Gateway says of a route that it does not know, and what it must not give away."""

from __future__ import annotations

import json

import pytest
from rollcall_agent.advice import explain as explain_to_host
from rollcall_agent.answers import Answer as HostAnswer
from rollcall_cli.advice import refusal
from rollcall_cli.answers import Answer as OperatorAnswer
from rollcall_cli.exits import ExitCode
from rollcall_client.api_gateway import NO_ROUTE, knows_no_route

from infra.emulator.gateway_responses import render, unmatched

SECRET = "rca_agt_x.the-secret-part"
HEADERS = [
    f"Bearer {SECRET}",
    f"bearer  {SECRET}",
    f"Bearer {SECRET}=",
    f"Bearer {SECRET}==",
    f"Bearer {SECRET}, Bearer {SECRET}",
    SECRET,
    f"Basic {SECRET}",
    "Bearer",
    "",
]
OTHER_WORDS = [
    "Missing Authentication Token",
    "Forbidden",
    f"Invalid key=value pair (missing equal-sign) in Authorization header: '{SECRET}'.",
    f"Authorization header requires 'Signature' parameter. Authorization={SECRET}",
]


def said_by_gateway(header: str | None) -> dict[str, object]:
    status, headers, body = render(unmatched(header), {}, {})
    assert status == 403
    document: dict[str, object] = json.loads(body)
    assert knows_no_route(403, {}, dict(headers)["x-amzn-ErrorType"])
    return document


BODIES = [*map(said_by_gateway, [None, *HEADERS]), *({"message": one} for one in OTHER_WORDS)]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body["message"])[:40])
def test_agent_and_operator_are_told_of_the_url_and_never_see_the_quoted_key(
    body: dict[str, object],
) -> None:
    host, operator = HostAnswer(403, body), refusal(OperatorAnswer(403, body))
    assert not host.ends_identity
    assert not host.is_transient
    assert operator.exit_code is ExitCode.UNREACHABLE
    for line in (explain_to_host(host), str(operator)):
        assert NO_ROUTE in line
        assert "stage included" in line
        assert "the-secret-part" not in line


@pytest.mark.parametrize("header", HEADERS[:7])
def test_the_gateway_quotes_the_header_as_aws_does(header: str) -> None:
    said = str(said_by_gateway(header)["message"])
    assert "in Authorization header: " in said or "requires 'Credential' parameter" in said
    assert ("equal-sign" in said) == (header != SECRET and not header.endswith("="))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"message": "Missing Authentication Token"}),
        (404, {"message": "Forbidden"}),
        (403, {"message": "No."}),
        (403, {"message": ["Forbidden"]}),
        (403, {"message": "Forbidden", "code": "key_revoked"}),
        (403, {}),
        (403, None),
    ],
)
def test_what_the_gateway_does_not_say_is_not_taken_for_its_own(
    status: int, body: dict[str, object] | None
) -> None:
    assert not knows_no_route(status, body)
