"""Inviting somebody and accepting, as the tests of invitations do it."""

import itertools
from collections.abc import Callable
from typing import Any

from tests.functional.api import Answer, Api, Tenant
from tests.functional.laws.faults import interleaved
from tests.functional.people import Person

SECONDS = itertools.count(100_000)
"""Tests share the stage and what it can hash in a second: each has a second of its own."""
PATH = "/api/v1/invitations/accept"
PASSWORD = "correct horse battery staple"


def invite(admin: Person, **wanted: Any) -> tuple[str, str]:
    """A fresh invitation: its identifier and its secret."""
    answer = admin.call("POST", "/invitations", {"role": "viewer", **wanted})
    assert answer.status == 201, answer.body
    return answer.body["invitation_id"], answer.body["invitation"]


def accept(api: Api, secret: str, username: str, /, **more: Any) -> Answer:
    """Accept as somebody who has no account yet."""
    body = {"invitation": secret, "username": username, "password": PASSWORD, **more}
    return api.call("POST", PATH, body)


def status_of(admin: Person, invitation: str) -> str:
    rows = admin.call("GET", "/invitations").body["invitations"]
    (status,) = (row["status"] for row in rows if row["invitation_id"] == invitation)
    return str(status)


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


def between(
    happens: Callable[[], Any], tenant: Tenant, secret: str, username: str
) -> tuple[Answer, Any]:
    """Accept, while something happens after everything was read and before it is written."""
    with interleaved(happens, on="TransactWriteItems") as outcome:
        answer = accept(tenant.api, secret, username)
    return answer, outcome[0]
