"""The control plane does what the model says, in any order and with concurrent requests.

The gate runs the same examples each time. For a long run with examples of its own, say how many:

    ROLLCALL_MODEL_EXAMPLES=3000 .venv/bin/python -m pytest tests/functional/model

A failure prints the shortest story that hypothesis finds. `order` in it says who went on and for
how many requests to AWS.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.functional.model.machine import ControlPlane
from tests.functional.model.stage import Stage

LONG_RUN = int(os.environ.get("ROLLCALL_MODEL_EXAMPLES", "0"))
PROFILE = settings(
    max_examples=40, phases=[Phase.explicit, Phase.generate],
    stateful_step_count=60 if LONG_RUN else 40,
    derandomize=False,
    database=None,
    deadline=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(0 if LONG_RUN else 300)
def test_every_story_goes_as_the_model_has_it(stage: Stage) -> None:
    class OfThisStage(ControlPlane):
        def __init__(self) -> None:
            super().__init__(stage)

    run_state_machine_as_test(OfThisStage, settings=PROFILE)
