"""The demo as a test: every promise of its story holds."""

import pytest

from infra.local_stack import LocalStack
from infra.story import STEPS, BrokenPromiseError, Story
from tests.e2e.stack.calls import Calls


def test_every_step_of_the_demo_holds(stack: LocalStack, secrets_seen: set[str]) -> None:
    with Story(stack) as story:
        lines = [step(story) for step in STEPS]
        secrets_seen.add(story.token)
    assert len(set(lines)) == len(STEPS) == 10
    assert not any(
        story.token in line or stack.operator_key in line or stack.admin_password in line
        for line in lines
    )


def test_a_step_that_does_not_hold_stops_the_story_and_the_agent(
    stack: LocalStack, calls: Calls
) -> None:
    upload = [step.__name__ for step in STEPS].index("_uploaded")
    with Story(stack) as story:
        for step in STEPS[:upload]:
            step(story)
        running = story.agent
        assert running is not None
        assert running.poll() is None
        calls.operator("POST", f"/agents/{story.agent_id}/revoke")
        with pytest.raises(BrokenPromiseError, match="rollcall-agent upload succeeds"):
            STEPS[upload](story)
    assert running.poll() is not None
    assert not story.folder.exists()
