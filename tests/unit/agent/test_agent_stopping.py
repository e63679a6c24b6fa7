from __future__ import annotations

import os
import signal
import threading

import pytest
from rollcall_agent.answers import Answer, NoAnswerError
from rollcall_agent.client import Call
from rollcall_agent.stopping import StoppableCaller, Stopper, StopRequestedError

from tests.unit.agent.fakes import ScriptedPlane, lost


def test_an_answer_passes_through() -> None:
    assert Stopper().ask(lambda: Answer(200), patience=10) == Answer(200)


def test_the_error_of_a_request_passes_through() -> None:
    caller = StoppableCaller(ScriptedPlane(lost("no connection")), Stopper())
    with pytest.raises(NoAnswerError, match="no connection"):
        caller.call(Call("GET", "/healthz"))


def test_a_signal_ends_a_wait() -> None:
    stopper = Stopper()
    before = signal.getsignal(signal.SIGTERM)
    with stopper.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(StopRequestedError):
            stopper.sleep(3600)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_lets_go_of_a_request_that_hangs() -> None:
    stopper, hanging = Stopper(), threading.Event()

    def hang() -> Answer:
        stopper.stop()
        hanging.wait()
        return Answer(200)

    with pytest.raises(StopRequestedError):
        stopper.ask(hang, patience=3600)
    hanging.set()


def test_once_asked_to_stop_no_request_begins() -> None:
    stopper, plane = Stopper(), ScriptedPlane()
    stopper.stop()
    with pytest.raises(StopRequestedError):
        StoppableCaller(plane, stopper).call(Call("GET", "/healthz"))
    assert plane.calls == []


def test_a_late_answer_is_not_taken_for_the_next_ones() -> None:
    stopper, hanging, is_late = Stopper(), threading.Event(), threading.Event()

    def late() -> Answer:
        hanging.wait()
        is_late.set()
        return Answer(500)

    with pytest.raises(NoAnswerError, match="in time"):
        stopper.ask(late, patience=0.01)

    def prompt() -> Answer:
        hanging.set()
        is_late.wait()
        return Answer(200)

    assert stopper.ask(prompt, patience=10) == Answer(200)


def test_a_request_that_nobody_waits_for_any_more_lets_go_of_what_it_holds() -> None:
    hanging, renewed = threading.Event(), []

    class Hanging:
        def call(self, _call: Call) -> Answer:
            hanging.wait(30)
            return Answer(200)

    caller = StoppableCaller(Hanging(), Stopper(), lambda: renewed.append(1), patience=0.05)
    with pytest.raises(NoAnswerError):
        caller.call(Call("GET", "/healthz"))
    hanging.set()
    assert renewed == [1]


def test_an_error_in_time_renews_nothing() -> None:
    renewed: list[int] = []
    caller = StoppableCaller(ScriptedPlane(lost()), Stopper(), lambda: renewed.append(1))
    with pytest.raises(NoAnswerError):
        caller.call(Call("GET", "/healthz"))
    assert renewed == []
