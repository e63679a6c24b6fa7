from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollcall_agent.answers import Answer
from rollcall_agent.exits import ExitCode
from rollcall_agent.heartbeat import Beat, Heartbeat, State

from tests.unit.agent.fakes import Chance, refused, said


def machine(place: float = 0.5) -> Heartbeat:
    nonces = count(1)
    return Heartbeat(rng=Chance(place), mint_nonce=lambda: f"nonce-{next(nonces)}")


def accepted(interval: object = 60, minimum: object = 5) -> Answer:
    return said(
        200,
        {
            "status": "online",
            "heartbeat_interval_seconds": interval,
            "minimum_interval_seconds": minimum,
        },
    )


def test_the_first_beat_is_sequence_one() -> None:
    assert machine().beat == Beat(1, "nonce-1")


@pytest.mark.parametrize(("place", "delay"), [(0.0, 27.0), (0.5, 30.0), (1.0, 33.0)])
def test_the_next_beat_follows_the_servers_interval_within_a_tenth(
    place: float, delay: float
) -> None:
    step = machine(place).answered(accepted(interval=30))
    assert step.delay == pytest.approx(delay)


def test_jitter_never_goes_below_the_servers_minimum() -> None:
    assert machine(0.0).answered(accepted(interval=30, minimum=30)).delay == 30


@pytest.mark.parametrize(
    "interval", [None, "60", True, -1, 0, 1e12, float("nan"), float("inf"), []]
)
def test_an_absurd_interval_is_ignored(interval: object) -> None:
    assert machine().answered(accepted(interval)).delay == 60


def test_each_accepted_beat_is_followed_by_a_new_sequence_and_nonce() -> None:
    heartbeat = machine()
    heartbeat.answered(accepted())
    assert heartbeat.beat == Beat(2, "nonce-2")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        Answer(500),
        Answer(502, {"message": "Internal server error"}),
        refused(503, "contention"),
        refused(429, "heartbeat_too_soon"),
        Answer(429, {"message": "Too Many Requests"}),
        Answer(408),
        Answer(200),
        said(200, {"hello": "I am a captive portal"}),
    ],
)
def test_a_beat_that_may_have_arrived_is_repeated_with_the_same_pair(answer: Answer | None) -> None:
    heartbeat = machine()
    step = heartbeat.unanswered("lost") if answer is None else heartbeat.answered(answer)
    assert heartbeat.beat == Beat(1, "nonce-1")
    assert step.delay is not None
    assert step.exit_code is ExitCode.UNREACHABLE


def test_failures_in_a_row_back_off_to_five_minutes_and_success_starts_over() -> None:
    heartbeat = machine(1.0)
    delays = [heartbeat.unanswered("lost").delay for _ in range(12)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    heartbeat.answered(accepted())
    assert heartbeat.unanswered("lost").delay == 1


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(status: int) -> None:
    step = machine(0.0).answered(Answer(status, retry_after=45))
    assert step.delay == 45


@pytest.mark.parametrize("code", ["key_revoked", "key_superseded"])
def test_only_these_two_codes_end_the_identity(code: str) -> None:
    heartbeat = machine()
    step = heartbeat.answered(refused(401, code))
    assert step.delay is None
    assert step.exit_code is ExitCode.IDENTITY_ENDED
    assert heartbeat.state is State.ENDED
    assert code in step.detail


@pytest.mark.parametrize(
    "answer",
    [
        refused(401, "key_invalid"),
        refused(401, "key_unknown"),
        refused(401, "key_expired"),
        refused(401, "something_new"),
        refused(403, "key_revoked"),
        refused(403, "scope_missing"),
        refused(403, "agent_quarantined"),
        refused(404, "agent_not_found"),
        refused(400, "validation_failed"),
        Answer(401, {"message": "Unauthorized"}),
        Answer(401, {"code": "key_revoked"}),
        Answer(401),
        Answer(403, {"message": "Missing Authentication Token"}),
        Answer(302),
    ],
)
def test_every_other_refusal_keeps_beating_slowly(answer: Answer) -> None:
    heartbeat = machine(0.0)
    delays = [heartbeat.answered(answer).delay for _ in range(20)]
    assert all(delay is not None and delay >= 60 for delay in delays)
    heartbeat = machine(1.0)
    delays = [heartbeat.answered(answer).delay for _ in range(20)]
    assert delays[-1] == 300


def test_it_jumps_over_the_sequence_that_the_control_plane_saw_last() -> None:
    heartbeat = machine()
    step = heartbeat.answered(refused(409, "sequence_stale", last_sequence=41))
    assert heartbeat.beat == Beat(42, "nonce-2")
    assert step.delay is not None
    assert step.delay <= 1
    assert not step.changed


@pytest.mark.parametrize("last", [None, "41", -1, 10**30, 0.5, True])
def test_an_absurd_last_sequence_still_moves_forward(last: object) -> None:
    heartbeat = machine()
    heartbeat.answered(refused(409, "sequence_stale", last_sequence=last))
    assert heartbeat.beat == Beat(2, "nonce-2")


def test_one_lost_answer_while_online_is_no_news_but_a_second_is() -> None:
    heartbeat = machine()
    assert heartbeat.answered(accepted()).changed
    assert not heartbeat.unanswered("the connection broke").changed
    assert heartbeat.unanswered("the connection broke").changed
    assert not heartbeat.unanswered("the connection broke").changed
    assert heartbeat.answered(accepted()).changed
    assert not heartbeat.answered(accepted()).changed


def test_the_first_failure_after_the_start_is_news() -> None:
    assert machine().unanswered("no connection").changed


def test_quarantine_has_a_state_of_its_own() -> None:
    heartbeat = machine()
    assert heartbeat.answered(refused(403, "agent_quarantined")).changed
    assert heartbeat.state is State.QUARANTINED


ANYTHING = st.builds(
    Answer,
    status=st.integers(100, 599),
    body=st.none()
    | st.dictionaries(
        st.sampled_from(
            ["code", "status", "detail", "errors", "last_sequence", "heartbeat_interval_seconds"]
        ),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    ),
    problem=st.booleans(),
    retry_after=st.none() | st.floats(0, 3600),
)


@given(st.lists(st.none() | ANYTHING, max_size=20), st.floats(0, 1))
def test_whatever_comes_the_sequence_rises_and_waits_are_bounded(
    answers: list[Answer | None], place: float
) -> None:
    heartbeat = machine(place)
    for answer in answers:
        before = heartbeat.beat
        step = heartbeat.unanswered("lost") if answer is None else heartbeat.answered(answer)
        assert heartbeat.beat == before or heartbeat.beat.sequence > before.sequence
        if step.delay is None:
            assert answer is not None
            assert answer.ends_identity
            return
        assert 0 <= step.delay <= 86400 * 1.2
        assert "\n" not in step.detail
