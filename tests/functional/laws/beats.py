"""Heartbeats of every outcome: each prepares what is needed and returns the beat itself."""

from collections.abc import Callable

from chalicelib.store.agent_presence import AgentPresenceItem
from tests.functional.api import Answer, Host, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.laws.stories import presence_of, set_presence

_P = AgentPresenceItem
Beat = Callable[[], Answer]


def steady(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    return host.beat


def repeated(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    host.beat(nonce="n" * 16)
    return lambda: host.repeat_beat(nonce="n" * 16)


def first_beat(tenant: Tenant, _: Host, __: FrozenClock) -> Beat:
    return tenant.enroll().beat


def restarted(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    host.instance, host.sequence = "i" * 16, 0
    return host.beat


def back_online(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    set_presence(tenant, host.agent_id, _P.status.set("offline"), _P.due.remove())
    return host.beat


def too_soon(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    host.beat()
    return host.beat


def restarted_too_soon(tenant: Tenant, host: Host, clock: FrozenClock) -> Beat:
    host.beat()
    return restarted(tenant, host, clock)


def stale(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    def beat() -> Answer:
        host.sequence = 0
        return host.beat()

    return beat


def other_nonce(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    return lambda: host.repeat_beat(nonce="o" * 16)


def unknown_agent(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    presence_of(tenant, host.agent_id).delete()
    return host.beat


def superseded(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    set_presence(tenant, host.agent_id, _P.key.set(b"another"))
    return host.beat


def revoked(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    set_presence(tenant, host.agent_id, _P.status.set("revoked"))
    return host.beat


def quarantined(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    set_presence(tenant, host.agent_id, _P.status.set("quarantined"))
    return host.beat


def without_scope(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    set_presence(tenant, host.agent_id, _P.scopes.set({"agent:artifact_upload"}))
    return host.beat


def without_any_scope(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    # A set cannot be empty in DynamoDB: no scopes is no attribute.
    set_presence(tenant, host.agent_id, _P.scopes.remove())
    return host.beat


def unknown_status(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    set_presence(tenant, host.agent_id, _P.status.set("hibernating"))
    return host.beat


def another_collector(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    return lambda: host.beat(collector_id="col_" + "0" * 20)


def another_asset(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    return lambda: host.beat(asset_id="ast_" + "0" * 20)


def forged(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    host.key = host.key[:-4] + ("AAAA" if not host.key.endswith("AAAA") else "BBBB")
    return host.beat


def malformed(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    host.key = "rca_k1.not.base64!"
    return host.beat


def expired(_: Tenant, host: Host, clock: FrozenClock) -> Beat:
    clock.advance(days=90)
    return host.beat


def anothers(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    return Host(tenant.api, "agt_" + "0" * 20, host.key, {}).beat


def wrong_family(tenant: Tenant, host: Host, _: FrozenClock) -> Beat:
    host.key = tenant.key
    return host.beat


def invalid_body(_: Tenant, host: Host, __: FrozenClock) -> Beat:
    return lambda: host.repeat_beat(nonce="short")
