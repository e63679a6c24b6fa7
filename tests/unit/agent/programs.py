"""A stand-in for the programs of a host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from rollcall_agent.programs import Ran

WELL = Ran(0, "")


class ScriptedPrograms:
    """Answers by the beginning of the command line, and keeps the command lines."""

    def __init__(
        self, answers: Mapping[str, Ran | Callable[[list[str]], Ran]] | None = None
    ) -> None:
        self.commands: list[list[str]] = []
        self.answers = dict(answers or {})

    def run(self, command: Sequence[str]) -> Ran:
        self.commands.append(list(command))
        for beginning, answer in self.answers.items():
            if " ".join(command).startswith(beginning):
                return answer if isinstance(answer, Ran) else answer(list(command))
        return WELL
