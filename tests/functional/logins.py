"""People with passwords, and how they log in; what a login costs, counted."""

import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from chalicelib import ids, runtime
from chalicelib.credentials.password import Passwords
from chalicelib.errors import DomainError
from chalicelib.evidence.record import Origin
from chalicelib.store.people import USER, PersonItem
from tests.functional.api import Answer, Tenant
from tests.functional.canaries import MARK
from tests.functional.gateway import RawAnswer, Sent, send
from tests.functional.one_at_a_time import one_at_a_time
from tests.functional.people import join

LOGIN = "/api/v1/auth/login"
COOKIE = "__Host-rollcall_session"
PASSWORD = f"{MARK} of everybody"
SITE = "https://api.example"
_HASHED: dict[str, str] = {}


def hashed(password: str) -> str:
    """A hash of a password; the same one for the same password, for it takes its time."""
    if password not in _HASHED:
        _HASHED[password] = Passwords().hash(password)
    return _HASHED[password]


class Counting(Passwords):
    """Counts what is asked of it; what takes long is done in earnest."""

    def __init__(self) -> None:
        self.verified: list[bool] = []
        self.made = 0

    def verify(self, kept: str | None, password: str) -> bool:
        matches = super().verify(kept, password)
        self.verified.append(matches)
        return matches

    def hash(self, password: str) -> str:
        self.made += 1
        return super().hash(password)


class Meanwhile(Passwords):
    """Lets something happen while a password is verified."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def verify(self, kept: str | None, password: str) -> bool:
        self._happens()
        return super().verify(kept, password)


def counting() -> Counting:
    """Count what the present runtime asks of its hasher."""
    made = Counting()
    runtime.current().passwords = made
    return made


def forget_attempts() -> None:
    """Begin with no attempt counted: the tests' clock stands, so all are of one second."""
    for row in PersonItem.scan(PersonItem.pk.startswith("login#")):
        row.delete()


@dataclass
class Account:
    """A person who can log in."""

    user: str
    username: str
    password: str = field(default=PASSWORD, repr=False)


def account(
    tenant: Tenant | None,
    role: str | None = "operator",
    *,
    home: Tenant | None = None,
    password: str | None = PASSWORD,
    **attributes: Any,
) -> Account:
    """A person with a password who belongs to a tenant."""
    user = ids.new(ids.USER)
    username = f"person-{secrets.token_hex(6)}"
    where = home or tenant
    assert where is not None
    now = where.api.clock.now
    PersonItem(
        user,
        USER,
        username=username,
        home=where.organization,
        created_at=now,
        valid_from=0,
        password_hash=hashed(password) if password is not None else None,
        **attributes,
    ).save()
    PersonItem(f"username#{username}", "username", user=user, created_at=now).save()
    if tenant is not None:
        join(tenant, user, username, role)
    return Account(user, username, password or PASSWORD)


def attempt(
    username: str, password: str = PASSWORD, *, source: str = "192.0.2.7", **more: Any
) -> RawAnswer:
    """One login as API Gateway hands it on."""
    headers = {"content-type": "application/json", **more.pop("headers", {})}
    path = more.pop("path", LOGIN)
    return send(
        Sent(
            "POST",
            path,
            headers=headers,
            body=_json({"username": username, "password": password, **more}),
            source_address=source,
        )
    )


def session_of(who: Account, **more: Any) -> str:
    """The raw session of a fresh login."""
    answer = attempt(who.username, who.password, cookie=False, **more)
    assert answer.status == 200, answer.code
    return str(answer.body["session"])


def cookie_of(answer: RawAnswer) -> str:
    """The session that an answer set as a cookie; empty where it took one away."""
    return answer.headers["set-cookie"].partition(";")[0].removeprefix(f"{COOKIE}=")


def by_cookie(method: str, path: str, session: str, body: Any = None, **headers: str) -> RawAnswer:
    """A browser's request."""
    sent = {"content-type": "application/json", "cookie": f"{COOKIE}={session}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    resource, parameters = path, {}
    if "/sessions/ses_" in path:
        resource = "/api/v1/me/sessions/{session_id}"
        parameters = {"session_id": path.rpartition("/")[2]}
    return send(
        Sent(method, resource, parameters, headers=sent, body=None if body is None else _json(body))
    )


def call(tenant: Tenant, session: str, method: str, path: str, body: Any = None) -> Answer:
    """A request with a session as a bearer credential."""
    return tenant.api.call(method, f"/api/v1{path}", body, credential=session)


def ended(answer: Answer, code: str = "credential_revoked") -> None:
    assert (answer.status, answer.code) == (401, code)


def id_of(tenant: Tenant, session: str) -> str:
    return str(call(tenant, session, "GET", "/me").body["credential"])


def at_once(tenant: Tenant, session: str, what: Callable[[Origin, int], object]) -> list[str]:
    """Two requests of one session; what became of each."""
    me = call(tenant, session, "GET", "/me").body
    origin = Origin(
        me["organization"],
        "user",
        me["user_id"],
        "r-1",
        None,
        tenant.api.clock.now,
        me["credential"],
    )

    def one(number: int) -> str:
        try:
            what(origin, number)
        except DomainError as error:
            return error.code
        return "done"

    with one_at_a_time(), ThreadPoolExecutor(8) as pool:
        return sorted(pool.map(one, range(8)))


def live(user: str) -> list[PersonItem]:
    rows = PersonItem.query(user, PersonItem.item.startswith("session#"))
    return [row for row in rows if row.status == "active"]


def _json(body: Any) -> str:
    return json.dumps(body)
