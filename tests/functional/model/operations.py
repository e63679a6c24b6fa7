"""What every operation has: how it is sent, and what the model says of its answer."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.functional.api import Answer, Api, Tenant
from tests.functional.model.state import State, Verdict


@dataclass(frozen=True)
class Live:
    """The system under test, and its tenants by organization."""

    api: Api
    tenants: dict[str, Tenant]


class Operation(ABC):
    """One request, or one run of an event's function."""

    def prepare(self, live: Live) -> None:
        """What comes before the request and is none itself."""
        assert live

    def agents(self, state: State, answer: Answer) -> list[str]:
        """The agents that are worth a question afterwards."""
        assert state
        named = (answer.body.get("agent_id"), getattr(self, "agent", None))
        return [identifier for identifier in named if identifier is not None]

    @abstractmethod
    def send(self, live: Live) -> Answer:
        """Let it happen."""

    @abstractmethod
    def verdict(self, state: State) -> Verdict:
        """The answer in this state."""

    @abstractmethod
    def take(self, state: State, answer: Answer) -> bool:
        """Change the state as an answer of the right verdict says; False where it cannot be."""

    def accepts(self, state: State, answer: Answer) -> bool:
        """Change the state if the answer is right in it."""
        return self.verdict(state) == (answer.status, answer.code) and self.take(state, answer)


Said = tuple[Operation, Answer]


def serial_orders(state: State, said: Sequence[Said]) -> Iterator[State]:
    """The states after every serial order of the operations that explains all answers."""
    if not said:
        yield state
        return
    for index, (operation, answer) in enumerate(said):
        attempt = copy.deepcopy(state, {id(state.clock): state.clock})
        if operation.accepts(attempt, answer):
            yield from serial_orders(attempt, [*said[:index], *said[index + 1 :]])
