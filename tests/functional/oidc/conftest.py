"""A real provider on the loopback, and an app whose settings admit the loopback alone."""

import time
from collections.abc import Iterator

import pytest

from chalicelib import runtime, settings
from chalicelib.settings import LOOPBACK_STAGE
from tests.functional.api import Api, Tenant
from tests.functional.clock import FrozenClock
from tests.functional.logins import forget_attempts
from tests.functional.oidc import certificates, provider
from tests.functional.oidc.certificates import Certificate
from tests.functional.oidc.provider import Provider
from tests.functional.oidc.sign_on import Organization
from tests.functional.people import person

PUBLIC_URL = "https://rollcall.example"


@pytest.fixture(scope="package")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificates.make(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.fixture(scope="package")
def idp(loopback: Certificate) -> Iterator[Provider]:
    with provider.running(loopback) as running:
        yield running


@pytest.fixture
def sign_on(
    stack: dict[str, str],
    clock: FrozenClock,
    loopback: Certificate,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Api]:
    """The app, at the provider's time and with the setting that no deployed stage can have."""
    assert stack
    forget_attempts()
    clock.now = time.time_ns() // 1_000_000
    monkeypatch.setenv("ROLLCALL_STAGE", LOOPBACK_STAGE)
    monkeypatch.setenv("ROLLCALL_OIDC_LOOPBACK_CA", str(loopback.bundle))
    monkeypatch.setenv("ROLLCALL_PUBLIC_URL", PUBLIC_URL)
    settings.load.cache_clear()
    runtime.use(runtime.Runtime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5))
    with Api(clock) as client:
        yield client
    runtime.use(None)
    settings.load.cache_clear()


@pytest.fixture
def tenant(sign_on: Api) -> Tenant:
    return sign_on.new_tenant()


@pytest.fixture
def organization(tenant: Tenant, idp: Provider) -> Organization:
    """An organization whose people log in at the provider."""
    made = Organization(tenant, person(tenant, "org_admin"), idp)
    made.configure()
    return made
