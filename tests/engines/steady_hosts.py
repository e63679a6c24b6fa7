"""Hosts whose next beat is due, and costs what most beats cost."""

from __future__ import annotations

from chalicelib import runtime
from tests.functional.api import Host, Tenant


def steady(tenant: Tenant) -> Host:
    """A host whose next beat is due, and changes no bucket."""
    host = tenant.enroll()
    assert host.beat().status == 200
    tenant.api.clock.advance(seconds=60)
    know_environment(tenant)
    return host


def know_environment(tenant: Tenant) -> None:
    """Let the worker look at the control row, so that no story pays for it."""
    runtime.current().controls.of(tenant.organization, tenant.environment, tenant.api.clock.now)
