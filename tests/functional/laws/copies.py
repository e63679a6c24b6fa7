"""Copies of one agent: each has the same identity and key, and is a process of its own."""

import secrets

from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.stories import presence_of

INTERVAL = 60


def copy_of(host: Host) -> Host:
    """Another host from the same image: same identity, a process of its own."""
    return Host(host.api, host.agent_id, host.key, host.enrollment)


def restarted(host: Host) -> Host:
    """The host's agent starts again: it goes on under the same name, as another process."""
    host.instance, host.sequence = secrets.token_urlsafe(16), 0
    return host


def status_of(tenant: Tenant, host: Host) -> str:
    """As it stands in the row."""
    return str(presence_of(tenant, host.agent_id).status)


def beat_until_heard(host: Host, clock: FrozenClock, *, most: int = 5) -> Answer:
    """The next beat; where it is told to wait, the same one again after that time."""
    nonce = secrets.token_urlsafe(16)
    answer = host.beat(nonce=nonce)
    for _ in range(most):
        if answer.status != 429:
            break
        clock.advance(seconds=int(answer.headers["Retry-After"]))
        answer = host.repeat_beat(nonce=nonce)
    return answer


def noticed(tenant: Tenant, host: Host, clock: FrozenClock) -> Host:
    """Let two copies of a host beat until they are noticed; the other one."""
    other = copy_of(host)
    for one, status in ((host, 200), (other, 200), (host, 403)):
        answer = one.beat()
        assert answer.status == status, answer.body
        clock.advance(seconds=INTERVAL)
    assert status_of(tenant, host) == "quarantined"
    return other
