"""All checks in their order: what a later one builds on comes first."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rollcall_agent.client import Caller
from rollcall_agent.clock import Clock
from rollcall_agent.doctor import answering, certificates, configured, dry_run, on_host, paths
from rollcall_agent.doctor.check import Check, Outcome, Report, failed, of_error, skipped
from rollcall_agent.doctor.servers import Proxy, Server
from rollcall_agent.doctor.wire import Network
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError
from rollcall_agent.own_upgrade import own_binary
from rollcall_agent.programs import Runner
from rollcall_agent.secret import Secret
from rollcall_agent.service.reach import user_of_service
from rollcall_agent.settings import IDEMPOTENCY_KEY, Settings
from rollcall_agent.upgrade_settings import STATE_FOLDER, state_folder

ON_THE_WAY: Final = (
    configured.URL,
    paths.PROXY,
    paths.DNS,
    certificates.NAME,
    answering.REACH,
    answering.CLOCK,
    dry_run.TOKEN,
)
"""What lies between this host and the control plane, in the order in which it is passed."""


def not_looked_at(name: str, blocker: str) -> Check:
    """Build a check that was not made because of what another one found."""
    return skipped(name, f"Not looked at: first see the line about {blocker}")


@dataclass(frozen=True)
class Ground:
    """What the doctor works with, all of which a test replaces.

    Attributes:
        proxies: What `urllib.request.getproxies` finds.
        plane: Connects to the control plane at a URL, as the agent itself would.
        token: Finds the enrollment token in the settings.
        facts: What goes with an exchange.
    """

    platform: str
    environment: Mapping[str, str]
    proxies: Mapping[str, str]
    network: Callable[[Settings], Network]
    clock: Clock
    programs: Runner
    plane: Callable[[Settings, str], AbstractContextManager[Caller]]
    token: Callable[[Settings], Secret]
    facts: Callable[[Settings], Mapping[str, str]]


@dataclass
class Examination:
    """One visit of the doctor."""

    ground: Ground
    config: Path
    url: str | None = None
    token_was_given: bool = False
    _checks: list[Check] = field(default_factory=list, init=False)
    # Whether the env file's content is known.
    _is_read: bool = field(default=True, init=False)

    def run(self) -> Report:
        """Make all checks. One that cannot be made does not keep the others from being made."""
        settings = self._on_host()
        self._add(configured.URL, lambda: self._reached(settings))
        return Report(tuple(_each_fault_once(self._checks)))

    def _on_host(self) -> Settings:
        installed = user_of_service(self.ground.platform, self.ground.programs)
        user = installed or configured.presumed_user()
        check, file = configured.check_configuration(self.config, self.ground.environment, user)
        self._is_read = file is not None
        settings = Settings(self.config, self.ground.environment, file or EnvFile())
        settings = settings.without_mistaken_switches()
        # What the file may say of the release key and of the state's folder is not known either.
        is_release = self._is_read and own_binary() is not None
        folders = [self.config.parent]
        if self._is_read or self.ground.environment.get(STATE_FOLDER):
            folders.append(state_folder(settings))
        version = on_host.check_version(settings, is_release=is_release)
        self._checks += [version, check]
        self._add(on_host.DISK, lambda: [on_host.check_disk(folders, user=user)])
        self._add(configured.IDENTITY, lambda: [self._identity(settings)])
        self._add(on_host.SERVICE_CHECK, lambda: [self._service(settings)])
        return settings

    def _identity(self, settings: Settings) -> Check:
        if not self._is_read:
            return not_looked_at(configured.IDENTITY, configured.CONFIGURATION)
        return configured.check_identity(settings)

    def _unknown_by(self, settings: Settings) -> str | None:
        """Return the check that says why it is not known whether this host is enrolled."""
        if not self._is_read:
            return configured.CONFIGURATION
        try:
            settings.identity()
        except AgentError:
            return configured.IDENTITY
        return None

    def _service(self, settings: Settings) -> Check:
        blocker = self._unknown_by(settings)
        if blocker is None:
            return self._service_where(enrolled=settings.identity() is not None)
        # What is right of it whether this host is enrolled or not can be said all the same.
        found = self._service_where(enrolled=True)
        if found == self._service_where(enrolled=False):
            return found
        return not_looked_at(on_host.SERVICE_CHECK, blocker)

    def _service_where(self, *, enrolled: bool) -> Check:
        return on_host.check_service(self.ground.platform, self.ground.programs, enrolled=enrolled)

    def _reached(self, settings: Settings) -> Sequence[Check]:
        """Go as far as the way is open; what lies behind is named, and why it was not seen."""
        if not self._is_read and not self.url:
            return [not_looked_at(name, configured.CONFIGURATION) for name in ON_THE_WAY]
        found = {check.name: check for check in self._steps(settings)}
        blocked = next((one for one in found.values() if one.outcome is Outcome.FAILED), None)
        why = (
            f"Not looked at: first see the line about {blocked.name}"
            if blocked
            else "Not looked at through such a proxy"
        )
        return [found.get(name) or skipped(name, why) for name in ON_THE_WAY]

    def _steps(self, settings: Settings) -> Iterator[Check]:
        check, url = configured.check_url(settings, self.url)
        yield check
        if url is None:
            return
        network, server = self.ground.network(settings), Server.of(url)
        check, proxy = paths.check_proxy(network, server, self.ground.proxies)
        yield check
        if check.outcome is Outcome.FAILED:
            return
        check = paths.check_dns(network, server, proxy)
        yield check
        if check.outcome is Outcome.FAILED:
            return
        if proxy is None or proxy.scheme == "http":
            is_there = yield from self._answering(network, server, proxy)
            if not is_there:
                return
        yield self._token(settings, url)

    def _answering(
        self, network: Network, server: Server, proxy: Proxy | None
    ) -> Generator[Check, None, bool]:
        """Tell whether it is the control plane that answers."""
        check = self._tls(network, server, proxy)
        yield check
        # A certificate that is not believed is never spoken to, not even to ask for the time.
        if check.outcome is Outcome.FAILED:
            return False
        check, fetched = answering.check_reach(network, server, proxy)
        yield check
        yield answering.judge_clock(fetched)
        return check.outcome is not Outcome.FAILED

    def _tls(self, network: Network, server: Server, proxy: Proxy | None) -> Check:
        if not server.tls:
            return skipped(certificates.NAME, "The URL is plain http")
        try:
            return certificates.check_tls(network, server, proxy, self.ground.clock.now())
        except AgentError as error:
            return of_error(certificates.NAME, error)

    def _token(self, settings: Settings, url: str) -> Check:
        if not self.token_was_given:
            if (blocker := self._unknown_by(settings)) is not None:
                return not_looked_at(dry_run.TOKEN, blocker)
            if settings.identity() is not None:
                return skipped(dry_run.TOKEN, "This host is enrolled and needs none")
        with self.ground.plane(settings, url) as plane:
            return dry_run.check_token(
                plane,
                lambda: self.ground.token(settings),
                self.ground.facts(settings),
                interrupted=settings.file.get(IDEMPOTENCY_KEY) is not None,
            )

    def _add(self, name: str, make: Callable[[], Sequence[Check]]) -> None:
        try:
            self._checks += make()
        except Exception as error:  # noqa: BLE001 - a doctor that dies has helped nobody
            # The text of an unexpected error may hold a secret; its kind does not.
            what = f"The check itself failed ({type(error).__name__})"
            self._checks.append(failed(name, what, "report this with the agent's version"))


def _each_fault_once(checks: Sequence[Check]) -> Iterator[Check]:
    """Leave out of a later line what an earlier one says in the same words."""
    seen = dict[str, str]()
    for check in checks:
        if check.outcome is not Outcome.FAILED:
            yield check
        elif check.what in seen:
            yield not_looked_at(check.name, seen[check.what])
        else:
            seen[check.what] = check.name
            yield check
