"""Unit tests speak to nobody; those of the deployer to servers of their own, on the loopback."""

import pytest
from pytest_socket import disable_socket, socket_allow_hosts

_LOOPBACK = ["127.0.0.1", "localhost", "::1"]


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest) -> None:
    # The plugin takes its restrictions back after each test.
    if request.node.path.parent.name == "infra":
        socket_allow_hosts(_LOOPBACK, allow_unix_socket=True)
    else:
        disable_socket(allow_unix_socket=True)
