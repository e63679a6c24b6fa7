"""EventBridge rules with a schedule, fired on time or on demand."""

import json
import logging
import threading
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.events.models import events_backends

from infra.emulator.async_delivery import AsyncDelivery
from infra.emulator.cron import Schedule, ScheduleError
from infra.emulator.functions import short_name
from infra.emulator.patches import MotoObject

_CHECK_SECONDS = 0.5
_log = logging.getLogger("rollcall.emulator")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A scheduled rule as it was found in moto."""

    name: str
    arn: str
    expression: str
    enabled: bool
    targets: tuple[tuple[str, str | None], ...]  # function ARN, constant input


class Schedules:
    """Watches moto's rules.

    Args:
        delivery: Takes the events.
        lock: Moto's lock, to look at its rules.
    """

    def __init__(self, delivery: AsyncDelivery, lock: AbstractContextManager[Any]) -> None:
        self._delivery = delivery
        self._lock = lock
        self._next: dict[tuple[str, str], datetime | None] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="schedules", daemon=True)

    def start(self) -> None:
        """Begin to watch the time."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def run(self, rule_or_function: str) -> None:
        """Fire a rule now, by its name or by its function's.

        Raises:
            KeyError: There is no such schedule.
        """
        found = [rule for rule in self._rules() if _is_meant(rule, rule_or_function)]
        if not found:
            raise KeyError(f"no schedule called {rule_or_function}")
        for rule in found:
            self._fire(rule, datetime.now(UTC))

    def _watch(self) -> None:
        while not self._stopped.wait(_CHECK_SECONDS):
            try:
                self._tick(datetime.now(UTC))
            except Exception:  # noqa: BLE001 - the thread has to go on
                _log.exception("looking at schedules failed")

    def _tick(self, moment: datetime) -> None:
        rules = {(rule.arn, rule.expression): rule for rule in self._rules() if rule.enabled}
        for key in [key for key in self._next if key not in rules]:
            del self._next[key]
        for key, rule in rules.items():
            if key not in self._next:
                self._next[key] = _after(rule, moment)
            due = self._next[key]
            if due is not None and due <= moment:
                self._next[key] = _after(rule, moment)
                self._fire(rule, due)

    def _rules(self) -> list[_Rule]:
        with self._lock:
            return [
                _snapshot(rule)
                for regions in events_backends.values()
                for backend in regions.values()
                for bus in backend.event_buses.values()
                for rule in bus.rules.values()
                if rule.scheduled_expression
            ]

    def _fire(self, rule: _Rule, moment: datetime) -> None:
        _, _, _, region, account, *_ = rule.arn.split(":")
        event = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Scheduled Event",
            "source": "aws.events",
            "account": account,
            "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": region,
            "resources": [rule.arn],
            "detail": {},
        }
        for arn, constant in rule.targets:
            self._delivery.send(short_name(arn), json.loads(constant) if constant else event)


def _snapshot(rule: MotoObject) -> _Rule:
    targets = tuple(
        (target["Arn"], target.get("Input"))
        for target in rule.targets
        if ":lambda:" in target["Arn"]
    )
    enabled = rule.state == "ENABLED"
    return _Rule(rule.name, rule.arn, rule.scheduled_expression, enabled, targets)


def _is_meant(rule: _Rule, name: str) -> bool:
    return name in {rule.name, rule.arn} or any(
        short_name(arn) == short_name(name) for arn, _ in rule.targets
    )


def _after(rule: _Rule, moment: datetime) -> datetime | None:
    try:
        return Schedule(rule.expression).after(moment)
    except ScheduleError as error:
        _log.warning("rule %s never fires: %s", rule.name, error)
        return None
