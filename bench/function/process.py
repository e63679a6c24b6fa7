"""A measured process: imports a handler from the package alone, and calls it on request.

Runs under `python -I -S -B`, so that it sees the package and one folder of the bench's, and
writes no byte code, as on Lambda. Its questions are lines of JSON on standard input: a list of
events. Its answers are lines of JSON on standard output: what the handler answered, and what
elapsed time and CPU that took.
"""

import importlib
import json
import os
import sys
import time
from typing import Any


def main() -> None:
    """Import the handler that is named, say how long that took, and serve until input ends."""
    package, beside, target = sys.argv[1:4]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # what the function logs is not measured by who reads it
    sys.path[:0] = [package]
    sys.path.append(beside)
    module, _, name = target.partition(":")

    started = _now()
    handler = getattr(importlib.import_module(module), name)
    _say(answers, _since(started))
    for line in sys.stdin:
        events = json.loads(line)
        answered: list[Any] = []
        started = _now()
        for event in events:
            answered.append(handler(event, None))  # noqa: PERF401 - the loop that is measured
        _say(answers, {**_since(started), "answers": answered})


def _now() -> tuple[int, int]:
    return time.perf_counter_ns(), time.process_time_ns()


def _since(started: tuple[int, int]) -> dict[str, Any]:
    elapsed, cpu = _now()
    return {"elapsed_ns": elapsed - started[0], "cpu_ns": cpu - started[1]}


def _say(answers: Any, answer: dict[str, Any]) -> None:  # noqa: ANN401 - a text stream
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
