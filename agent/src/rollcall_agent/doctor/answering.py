"""Who answers at the URL, and what time it is there."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

from rollcall_client.api_gateway import knows_no_route

from rollcall_agent.answers import PROBLEM_TYPE
from rollcall_agent.clock_skew import SET_THE_CLOCK, in_words
from rollcall_agent.doctor.check import Check, failed, ok, skipped, warning
from rollcall_agent.doctor.servers import Proxy, Server
from rollcall_agent.doctor.wire import (
    Fetched,
    Network,
    NotTlsError,
    ProxyRefusedError,
    UnreachableError,
    UntrustedError,
)

REACH: Final = "reachability"
CLOCK: Final = "clock"
HEALTH: Final = "/healthz"

# Above this, log lines of host and control plane can no longer be laid side by side.
SKEW_WARNS: Final = 30.0
# Above this, certificates and whatever signs requests by the clock (as AWS and Kerberos do, with
# this very bound) begin to fail, and with them what else the host does.
SKEW_FAILS: Final = 300.0

_OK, _MULTIPLE, _BAD = 200, 300, 400
_PORTAL, _PROXY_PASSWORD, _TOO_MANY, _SERVER = 511, 407, 429, 500
_WRONG_STAGE: Final = (
    "API Gateway answers, but there is no stage of this name",
    "check the path of ROLLCALL_API_BASE_URL: it ends with the stage (https://host/stage)",
)


def check_reach(
    network: Network, server: Server, proxy: Proxy | None
) -> tuple[Check, Fetched | None]:
    """Ask for the application's own sign of life."""
    try:
        fetched = network.fetch(server, proxy, HEALTH)
    except UnreachableError as error:
        todo = "check the network between this host and the control plane"
        return failed(REACH, f"No answer from {server.address}: {error.reason}", todo), None
    except ProxyRefusedError as error:
        todo = "see the line about the proxy"
        return failed(REACH, f"The proxy answered {error.status}", todo), None
    except (NotTlsError, UntrustedError):
        todo = "see the line about TLS"
        return failed(REACH, "No TLS connection came about", todo), None
    return judge_answer(fetched, server), fetched


def judge_answer(fetched: Fetched, server: Server) -> Check:
    """Tell the application from whatever else may answer in its place."""
    body = _json(fetched.body)
    if fetched.status == _OK and body.get("status") == "ok":
        return ok(REACH, f"The control plane answers at {server.url}")
    if _MULTIPLE <= fetched.status < _BAD or fetched.status == _PORTAL:
        return _elsewhere(fetched, server)
    if knows_no_route(fetched.status, body, fetched.headers.get("x-amzn-errortype")):
        return failed(REACH, *_WRONG_STAGE)
    if body.get("code") == "route_not_found" and _is_problem(fetched):
        return failed(
            REACH,
            "A control plane answers, but not at this path",
            "check the path of ROLLCALL_API_BASE_URL: nothing follows the stage",
        )
    if fetched.status == _TOO_MANY or fetched.status >= _SERVER:
        return failed(
            REACH,
            f"The control plane is not able to answer right now (HTTP {fetched.status})",
            "wait a minute and run doctor again; if it lasts, tell whoever runs the control plane",
        )
    return _a_stranger(fetched)


def judge_clock(fetched: Fetched | None) -> Check:
    """Compare this host's clock with the one of whoever answered."""
    there = _date(fetched)
    if fetched is None or there is None:
        return skipped(CLOCK, "Nobody answered who tells the time")
    skew = fetched.at - there
    what, todo = in_words(skew), SET_THE_CLOCK
    if abs(skew) > SKEW_FAILS:
        return failed(CLOCK, what, todo)
    if abs(skew) > SKEW_WARNS:
        return warning(CLOCK, what, todo)
    # A header has whole seconds, so less than two cannot be told from none.
    return ok(CLOCK, "The clock is right" if abs(skew) < 2 else what)  # noqa: PLR2004


def _elsewhere(fetched: Fetched, server: Server) -> Check:
    target = urlsplit(fetched.headers.get("location", "")).hostname
    if target and target != server.host:
        return failed(
            REACH,
            f"What answers sends this host on to {target}: a captive portal or a proxy's login",
            "log in to the network, or have this host excepted from its portal",
        )
    if fetched.status == _PORTAL:
        return failed(
            REACH, "The network wants a login (HTTP 511)", "log in to the network with a browser"
        )
    return failed(
        REACH,
        f"What answers sends this host on (HTTP {fetched.status}); the agent follows nobody",
        "take ROLLCALL_API_BASE_URL from whoever runs the control plane, https:// included",
    )


def _a_stranger(fetched: Fetched) -> Check:
    if fetched.status == _PROXY_PASSWORD:
        return failed(
            REACH, "The proxy wants a user name and a password", "put them into the proxy's URL"
        )
    if "html" in fetched.headers.get("content-type", "").lower():
        return failed(
            REACH,
            f"A page for browsers answers (HTTP {fetched.status}), not the control plane: a "
            "captive portal, a proxy's or a firewall's page, or another web server",
            "check the host in ROLLCALL_API_BASE_URL, and whether the network wants a login",
        )
    return failed(
        REACH,
        f"What answers (HTTP {fetched.status}) is not the control plane's application",
        "check ROLLCALL_API_BASE_URL, its stage included, and any proxy in between",
    )


def _is_problem(fetched: Fetched) -> bool:
    kind = fetched.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == PROBLEM_TYPE


def _json(content: bytes) -> dict[str, object]:
    try:
        parsed: object = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _date(fetched: Fetched | None) -> float | None:
    try:
        return parsedate_to_datetime((fetched and fetched.headers.get("date")) or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
