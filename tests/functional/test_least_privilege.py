"""Each function's policy allows what its code uses, and nothing that its code never uses."""

from collections.abc import Iterator

import pytest

from tests.functional.api import Api
from tests.functional.clock import FrozenClock
from tests.functional.iam_trace import Trace, TracedRuntime, grants_of, traced
from tests.functional.people import person
from tests.functional.privileges_of_functions import login_story, whole_story
from tests.functional.privileges_of_members import members_story

# What Lambda and S3 do in a function's name, and not its code.
_BY_THE_SERVICE = {
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
}
_UNSEEN = {
    ("verify_upload", "sqs:SendMessage"),  # Lambda sends what failed three times.
    ("run_jobs", "s3:ListBucket"),  # Else S3 answers 403 for a sealed batch that is gone.
    ("api_handler", "s3:ListBucket"),  # The same, for a release that was not published.
}
_BY_THE_PRESIGNED = {"s3:PutObject", "s3:GetObject"}


@pytest.fixture
def trace(stack: dict[str, str], clock: FrozenClock) -> Iterator[Trace]:
    assert stack
    from chalicelib import runtime

    watched = TracedRuntime(clock=clock, sleep=clock.slept.append, random=lambda: 0.5)
    with traced(watched) as trace:
        runtime.use(watched)
        yield trace
        runtime.use(None)


def test_policies_allow_what_the_code_uses_and_no_more(
    stack: dict[str, str], clock: FrozenClock, trace: Trace
) -> None:
    with Api(clock) as api:
        before = api.new_tenant()
        admin = person(before, "org_admin")
        trace.uses.clear()  # Making the tenant is the deployer's, not a function's.
        login_story(before)
        members_story(admin)
        whole_story(before, stack, clock, trace)
    missing, unused = [], []
    for function, uses in trace.uses.items():
        grants = grants_of(function, stack, "functional")
        missing += [
            (function, use) for use in uses if not any(grant.covers(use) for grant in grants)
        ]
        unused += [
            (function, grant)
            for grant in grants
            if grant.action not in _BY_THE_SERVICE
            and (function, grant.action) not in _UNSEEN
            and not (function == "api_handler" and grant.action in _BY_THE_PRESIGNED)
            and not any(grant.covers(use) for use in uses)
        ]
    assert sorted(trace.uses) == sorted(
        [
            "api_handler",
            "publish_events",
            "run_jobs",
            "seal_evidence",
            "sweep_presence",
            "verify_upload",
        ]
    )
    assert missing == []
    assert unused == []
