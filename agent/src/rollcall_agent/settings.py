"""Where the agent's configuration comes from, in which order.

A command line option goes before the process's environment, and that before the env file. The
identity is the exception: its two halves are taken from one place, the env file first, because
that is what the agent itself writes and an environment may be older. Where a value has several
names, an own name goes before the others in any place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from rollcall_client.setting_lines import LineError
from rollcall_client.switches import NoSwitchError, read_switch
from rollcall_client.token_text import read_token_text

from rollcall_agent import names
from rollcall_agent.env_file import EnvFile
from rollcall_agent.exits import AgentError, ExitCode
from rollcall_agent.known_names import SWITCHES
from rollcall_agent.names import AGENT_ID, AGENT_KEY, TOKEN, URL
from rollcall_agent.places import HERE
from rollcall_agent.private_files import advice, is_widely_readable
from rollcall_agent.say import Say
from rollcall_agent.secret import Secret, enrollment_token, is_credential
from rollcall_agent.urls import check_base_url

__all__ = ["AGENT_ID", "AGENT_KEY", "TOKEN", "URL", "Identity", "Settings", "SplitNote"]

DEFAULT_CONFIG: Final = Path(HERE.config)
PREVIOUS_KEY: Final = "ROLLCALL_AGENT_PREVIOUS_API_KEY"
IDEMPOTENCY_KEY: Final = "ROLLCALL_ENROLLMENT_IDEMPOTENCY_KEY"
TOKEN_FINGERPRINT: Final = "ROLLCALL_ENROLLMENT_TOKEN_SHA256"  # noqa: S105 - a name, not a secret
SPLIT_KEY: Final = "ROLLCALL_SPLIT_IDEMPOTENCY_KEY"
SPLIT_AGENT_ID: Final = "ROLLCALL_SPLIT_AGENT_ID"
SPLIT_INSTANCE: Final = "ROLLCALL_SPLIT_INSTANCE"
ALLOW_HTTP: Final = "ROLLCALL_ALLOW_HTTP"
CA_BUNDLE: Final = "ROLLCALL_CA_BUNDLE"
CONFIG: Final = "ROLLCALL_CONFIG"
STATE_FILE: Final = "ROLLCALL_STATE_FILE"


@dataclass(frozen=True)
class Identity:
    """Who this host is to the control plane.

    Attributes:
        key: The runtime key that is shown.
        other: The other key of a rotation under way: kept until the one that is shown was
            accepted once.
    """

    agent_id: str
    key: Secret
    other: Secret | None = None


@dataclass(frozen=True)
class SplitNote:
    """A split under way: which agent's copy asks, as which instance, and with which key."""

    agent_id: str
    instance: str
    key: Secret


@dataclass(frozen=True)
class Settings:
    """The configuration as it is at one moment.

    Attributes:
        unset: Names of switches that count as not set, whatever is written.
    """

    path: Path
    environment: Mapping[str, str]
    file: EnvFile
    unset: frozenset[str] = frozenset()

    @classmethod
    def load(cls, config: Path | None, environment: Mapping[str, str]) -> Settings:
        """Read the env file that the option, the environment or the default names.

        Every switch is checked, also one that the command does not use: what is mistyped is to be
        found before anything is done, and not by the next command.

        Raises:
            AgentError: The file cannot be used, or a switch is neither on nor off.
        """
        settings = cls.look(config, environment)
        settings.check_switches()
        return settings

    @classmethod
    def look(cls, config: Path | None, environment: Mapping[str, str]) -> Settings:
        """Read the same without judging the switches, for a command that only shows them."""
        path = config or Path(environment.get(CONFIG) or DEFAULT_CONFIG)
        require_place(path)
        return cls(path, environment, EnvFile.load(path))

    @classmethod
    def load_what_can_be(cls, config: Path | None, environment: Mapping[str, str]) -> Settings:
        """Read it too, and take an env file that cannot be read for an empty one."""
        try:
            return cls.look(config, environment)
        except AgentError:
            path = config or Path(environment.get(CONFIG) or DEFAULT_CONFIG)
            return cls(path, environment, EnvFile(""))

    def value(self, name: str) -> str | None:
        """Look a setting up: environment, then env file."""
        return self.environment.get(name) or self.file.get(name)

    def switch(self, name: str, *, default: bool) -> bool:
        """Tell whether a switch is on.

        Raises:
            AgentError: Its value means neither on nor off.
        """
        if name in self.unset:
            return default
        for value, place in self._written(name):
            if value.strip():
                return _read_switch(name, value, place, default=default)
        return default

    def check_switches(self) -> None:
        """Refuse a switch that is neither on nor off, in the environment as in the file."""
        for error in self.mistaken_switches().values():
            raise error

    def mistaken_switches(self) -> dict[str, AgentError]:
        """Return what is wrong with each switch that is neither on nor off, by its name."""
        found = dict[str, AgentError]()
        for name in SWITCHES:
            for value, place in self._written(name):
                try:
                    _read_switch(name, value, place, default=False)
                except AgentError as error:
                    found.setdefault(name, error)
        return found

    def without_mistaken_switches(self) -> Settings:
        """Return the same, with each mistaken switch as if it were not set: only for looking."""
        return replace(self, unset=frozenset(self.mistaken_switches()))

    def _written(self, name: str) -> list[tuple[str, str]]:
        """Return the values of a setting and where they stand, the one that counts first."""
        found = (self.environment.get(name), "the environment"), (self.file.get(name), self.path)
        return [(value, str(place)) for value, place in found if value]

    @property
    def allow_http(self) -> bool:
        """Whether the operator insists on plain HTTP to other hosts."""
        return self.switch(ALLOW_HTTP, default=False)

    def ca_bundle(self) -> Path | None:
        """Return the file of a private CA, where one is named."""
        named = self.value(CA_BUNDLE)
        return Path(named) if named else None

    def base_url(self, option: str | None = None) -> str:
        """Return the control plane's base URL, checked."""
        found = names.first(names.URLS, self.environment.get, self.file.get)
        raw = option or (found[1] if found else None)
        if not raw:
            raise AgentError(
                f"No control plane is configured. Next: give --url, or set {URL}.", ExitCode.USAGE
            )
        return check_base_url(raw, allow_http=self.allow_http)

    def enrolled_at(self) -> str | None:
        """Return the URL of the control plane that this host's identity belongs to.

        It stands where the identity stands. None where there is none that could be used.
        """
        places = self.environment.get, self.file.get
        in_file = _identity_in(self.file.get) and names.first(names.URLS, self.file.get)
        raw = in_file or names.first(names.URLS, *places)
        try:
            return check_base_url(raw[1], allow_http=True) if raw else None
        except AgentError:
            return None

    @property
    def names_a_url(self) -> bool:
        """Whether a control plane is configured, be its URL usable or not."""
        return names.first(names.URLS, self.environment.get, self.file.get) is not None

    def identity(self) -> Identity | None:
        """Return the identity, or None where this host has none."""
        for place in (self.file.get, self.environment.get):
            if found := _identity_in(place):
                return _identity(*found, place(PREVIOUS_KEY))
        return None

    def split_note(self) -> SplitNote | None:
        """Return the split that is under way, or None."""
        agent_id, instance = self.file.get(SPLIT_AGENT_ID), self.file.get(SPLIT_INSTANCE)
        key = self.file.get(SPLIT_KEY)
        if not agent_id or not instance or not key or not is_credential(key):
            return None
        return SplitNote(agent_id, instance, Secret(key))

    def token(self) -> Secret | None:
        """Return the enrollment token of the environment or the env file."""
        for name in names.TOKENS:
            if given := self.environment.get(name):
                source = f"the environment's {name}"
                return enrollment_token(
                    token_text(given.encode(errors="surrogateescape"), source), source
                )
            if stored := self.file.get(name):
                return enrollment_token(stored, f"{self.path} ({name})")
        return None

    def state_file(self) -> Path:
        """Return where `run` leaves its last known state for `status`."""
        named = self.value(STATE_FILE)
        return Path(named) if named else self.path.with_suffix(".state.json")

    def warn_if_exposed(self, say: Say) -> None:
        """Warn where others may read the secrets of the env file."""
        if is_widely_readable(self.path):
            say.warn(f"{self.path} can be read by others. Next: {advice(self.path)}")


def require_place(path: Path) -> None:
    """Refuse a relative path where the folder that it counts from is gone."""
    try:
        path.absolute()
    except OSError as error:
        raise AgentError(
            f"There is no {path}: the folder in which this was started is gone. Next: name the "
            "whole path, or start this in another folder.",
            ExitCode.USAGE,
        ) from error


def token_text(content: bytes, source: str) -> str:
    """Return the token of a file, of stdin or of a variable.

    Raises:
        AgentError: There is none, more than one, or one that cannot be used.
    """
    try:
        return read_token_text(content, names.TOKENS)
    except LineError as error:
        raise AgentError(
            f"{error.of(source)}. Next: let it hold the token alone, as it was minted.",
            ExitCode.USAGE,
        ) from None


def _read_switch(name: str, value: str, place: str, *, default: bool) -> bool:
    try:
        return read_switch(name, value, default=default)
    except NoSwitchError as error:
        raise AgentError(f"{error.line} Next: correct it in {place}.", ExitCode.USAGE) from None


def _identity_in(place: Callable[[str], str | None]) -> tuple[str, str] | None:
    """Return agent id and key as one place holds them, or None where one of the two is missing."""
    agent_id, key = names.first(names.AGENT_IDS, place), names.first(names.AGENT_KEYS, place)
    return (agent_id[1], key[1]) if agent_id and key else None


def _identity(agent_id: str, key: str, other: str | None) -> Identity:
    if not is_credential(agent_id) or not is_credential(key):
        raise AgentError(
            f"{AGENT_ID} or {AGENT_KEY} holds characters that no identity has.", ExitCode.USAGE
        )
    usable = other is not None and is_credential(other) and other != key
    return Identity(agent_id, Secret(key), Secret(other) if usable and other else None)
