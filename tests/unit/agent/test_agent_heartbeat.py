from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollcall_agent.answers import Answer
from rollcall_agent.exits import ExitCode
from rollcall_agent.heartbeat import Beat, Heartbeat, State, Step
from rollcall_agent.schedule import Schedule

from tests.unit.agent.fakes import Chance, refused, said

# A multiple of 60 and of 30 seconds since the epoch; the slot of the tests is a third of the way.
START = 1_699_999_920.0
PLACE = 1 / 3


class Machine(Heartbeat):
    """A heartbeat at one instant of the wall clock."""

    def takes(self, answer: Answer, now: float = START) -> Step:
        return self.answered(answer, now)

    def hears_nothing(self, now: float = START, *, arrived: bool = True) -> Step:
        return self.unanswered("lost", now, arrived=arrived)


def machine(place: float = 0.5) -> Machine:
    nonces = count(1)
    return Machine(
        schedule=Schedule(PLACE),
        rng=Chance(place),
        mint_nonce=lambda: f"nonce-{next(nonces)}",
    )


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


@pytest.mark.parametrize(("interval", "delay"), [(30, 10), (60, 20), (600, 80)])
def test_the_next_beat_is_at_the_agents_slot_in_the_interval_that_is_asked_for(
    interval: int, delay: float
) -> None:
    # 600 s: START is 2 minutes into ten, the slot at 3 minutes 20.
    assert machine().takes(accepted(interval)).delay == pytest.approx(delay)


def test_a_beat_at_its_slot_is_followed_by_one_an_interval_later() -> None:
    heartbeat = machine()
    assert heartbeat.takes(accepted(), START + 20).delay == pytest.approx(60)
    # Sent at the slot, answered a little later, or woken a little early.
    assert heartbeat.takes(accepted(), START + 80.3).delay == pytest.approx(59.7)
    assert heartbeat.takes(accepted(), START + 139.9).delay == pytest.approx(60.1)


def test_a_slot_is_left_out_rather_than_beating_sooner_than_the_servers_minimum() -> None:
    assert machine().takes(accepted(minimum=21)).delay == pytest.approx(80)


def test_while_slowed_down_the_slower_interval_rules_and_ends_with_the_answer_that_says_so() -> (
    None
):
    heartbeat = machine()
    slow = said(200, {"status": "online", "heartbeat_interval_seconds": 60}, retry_after=600)
    assert heartbeat.takes(slow).delay == pytest.approx(80)
    assert heartbeat.interval == 600
    assert heartbeat.takes(accepted(60), START + 80).delay == pytest.approx(60)


def test_a_changed_interval_is_news() -> None:
    heartbeat = machine()
    heartbeat.takes(accepted(60))
    assert not heartbeat.takes(accepted(60)).changed
    assert heartbeat.takes(accepted(600)).changed


@pytest.mark.parametrize("interval", [-1, 0, 1e12, float("inf")])
def test_an_absurd_interval_is_ignored(interval: object) -> None:
    assert machine().takes(accepted(interval)).delay == pytest.approx(20)


def test_each_accepted_beat_is_followed_by_a_new_sequence_and_nonce() -> None:
    heartbeat = machine()
    heartbeat.takes(accepted())
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
    step = heartbeat.hears_nothing() if answer is None else heartbeat.takes(answer)
    assert heartbeat.beat == Beat(1, "nonce-1")
    assert step.delay is not None
    assert step.exit_code is ExitCode.UNREACHABLE


def test_one_lost_answer_is_asked_for_again_within_two_seconds() -> None:
    assert [machine(place).hears_nothing().delay for place in (0.0, 0.5, 1.0)] == [0, 1, 2]


def test_lost_answers_in_a_row_leave_out_ever_more_slots_up_to_five_minutes() -> None:
    heartbeat = machine()
    delays = [heartbeat.hears_nothing().delay for _ in range(7)]
    assert delays == pytest.approx([1, 20, 20 + 60, 20 + 180, 20 + 240, 20 + 240, 20 + 240])
    heartbeat.takes(accepted())
    assert heartbeat.hears_nothing().delay == 1


def test_what_never_left_the_host_is_tried_at_each_slot() -> None:
    heartbeat = machine()
    delays = [heartbeat.hears_nothing(arrived=False).delay for _ in range(7)]
    assert delays == pytest.approx([1] + [20] * 6)


def test_an_unwell_control_plane_is_asked_at_slots_only() -> None:
    heartbeat = machine()
    delays = [heartbeat.takes(Answer(500)).delay for _ in range(5)]
    assert delays == pytest.approx([20, 20 + 60, 20 + 180, 20 + 240, 20 + 240])


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("place", "delay"), [(0.0, 7.0), (1.0, 22.0)])
def test_a_short_retry_after_is_waited_for_and_then_up_to_a_quarter_of_an_interval(
    status: int, place: float, delay: float
) -> None:
    assert machine(place).takes(Answer(status, retry_after=7)).delay == delay


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("asked", "delay"), [(19, 20), (45, 80), (600, 620)])
def test_a_long_retry_after_is_followed_by_the_agents_own_slot(
    status: int, asked: float, delay: float
) -> None:
    step = machine().takes(Answer(status, retry_after=asked))
    assert step.delay == pytest.approx(delay)


def test_a_second_short_retry_after_in_a_row_waits_for_the_slot_too() -> None:
    heartbeat = machine()
    heartbeat.takes(Answer(503, retry_after=1))
    assert heartbeat.takes(Answer(503, retry_after=1)).delay == pytest.approx(20)


def test_a_copy_that_shares_the_slot_comes_back_beside_it_each_time() -> None:
    heartbeat = machine(0.5)
    too_soon = refused(429, "heartbeat_too_soon", retry_after=30)
    assert [heartbeat.takes(too_soon).delay for _ in range(3)] == [37.5, 37.5, 37.5]


@pytest.mark.parametrize("code", ["key_revoked", "key_superseded"])
def test_only_these_two_codes_end_the_identity(code: str) -> None:
    heartbeat = machine()
    step = heartbeat.takes(refused(401, code))
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
        refused(404, "agent_not_found"),
        refused(400, "validation_failed"),
        Answer(401, {"message": "Unauthorized"}),
        Answer(401, {"code": "key_revoked"}),
        Answer(401),
        Answer(403, {"message": "Missing Authentication Token"}),
        Answer(403, {"message": "Authorization header requires 'Credential' parameter."}),
        Answer(302),
    ],
)
def test_every_other_refusal_keeps_beating_slowly(answer: Answer) -> None:
    heartbeat = machine()
    delays = [heartbeat.takes(answer).delay for _ in range(20)]
    assert all(delay is not None and delay >= 30 for delay in delays)
    # A healthy agent is back after one interval, this one after two, four, five.
    assert delays[:4] == pytest.approx([80, 140, 260, 320])
    assert delays[-1] == pytest.approx(320)


def test_a_refused_beat_at_its_slot_is_back_at_the_next_one() -> None:
    assert machine().takes(Answer(401), START + 20.2).delay == pytest.approx(59.8)


def test_an_ending_code_ends_nothing_while_another_key_is_left() -> None:
    heartbeat = machine()
    step = heartbeat.answered(refused(401, "key_superseded"), START, is_last_key=False)
    assert step.delay is not None
    assert heartbeat.state is State.REFUSED


def test_it_jumps_over_the_sequence_that_the_control_plane_saw_last() -> None:
    heartbeat = machine()
    step = heartbeat.takes(refused(409, "sequence_stale", last_sequence=41))
    assert heartbeat.beat == Beat(42, "nonce-2")
    assert step.delay == 1
    assert not step.changed


@pytest.mark.parametrize("last", [None, "41", -1, 10**30, 0.5, True])
def test_an_absurd_last_sequence_still_moves_forward(last: object) -> None:
    heartbeat = machine()
    heartbeat.takes(refused(409, "sequence_stale", last_sequence=last))
    assert heartbeat.beat == Beat(2, "nonce-2")


def test_one_lost_answer_while_online_is_no_news_but_a_second_is() -> None:
    heartbeat = machine()
    assert heartbeat.takes(accepted()).changed
    assert not heartbeat.hears_nothing().changed
    assert heartbeat.hears_nothing().changed
    assert not heartbeat.hears_nothing().changed
    assert heartbeat.takes(accepted()).changed
    assert not heartbeat.takes(accepted()).changed


def test_the_first_failure_after_the_start_is_news() -> None:
    assert machine().hears_nothing().changed


def test_quarantine_has_a_state_of_its_own() -> None:
    heartbeat = machine()
    assert heartbeat.takes(refused(403, "agent_quarantined")).changed
    assert heartbeat.state is State.QUARANTINED


def test_a_quarantined_agent_is_back_within_a_minute_of_its_release() -> None:
    heartbeat = machine()
    heartbeat.takes(accepted(5, 1))
    waits = [heartbeat.takes(refused(403, "agent_quarantined")).delay or 0 for _ in range(30)]
    assert 5 <= waits[0] <= 10
    assert 55 <= max(waits) <= 65
    heartbeat.takes(accepted(60, 1))
    waits = [heartbeat.takes(refused(403, "agent_quarantined")).delay or 0 for _ in range(30)]
    assert waits[-1] == pytest.approx(140), "more seldom than a healthy one, all the same"


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
        step = heartbeat.hears_nothing() if answer is None else heartbeat.takes(answer)
        assert heartbeat.beat == before or heartbeat.beat.sequence > before.sequence
        if step.delay is None:
            assert answer is not None
            assert answer.ends_identity
            return
        assert 0 <= step.delay <= 86400 * 2.2
        assert "\n" not in step.detail
