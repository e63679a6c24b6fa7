"""Requests that hold secrets do not show them where they are printed, as in a traceback."""

import pytest

from chalicelib.flows.decommission import DecommissionRequest
from chalicelib.flows.enrollment import ExchangeRequest
from chalicelib.flows.joining import AcceptRequest
from chalicelib.flows.login import LoginRequest
from chalicelib.flows.me import ChangePasswordRequest
from chalicelib.flows.succession import Successor

CANARY = "canary-of-a-secret"


@pytest.mark.parametrize(
    "request_",
    [
        LoginRequest(username="ada", password=CANARY),
        ChangePasswordRequest(current_password=CANARY, new_password=CANARY),
        ExchangeRequest(hostname="host.example", token=CANARY, machine_id=CANARY),
        DecommissionRequest(successor=Successor(agent_id="agt_1", runtime_key=CANARY)),
        AcceptRequest(invitation=CANARY, username="ada", password=CANARY),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_request_is_printed_without_its_secrets(request_: object) -> None:
    assert CANARY not in f"{request_!r} {request_}"
