"""A paused journey sends nothing; its waits run on or stand still; and everything goes on where it was."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.journeys.kernel import PERSON, RUN, T, journey
from wend.journeys.facts import ProfileView
from wend.journeys.freezes import Freeze, elapse
from wend.journeys.results import Finish, Park
from wend.journeys.simulation import SimulatedRun, Simulation
from wend.journeys.state import message_id
from wend.journeys.walltime import FOREVER

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SEND = "  - {id: announce, type: send_email, message: news}\n"
AWAIT = "  - {id: look, type: wait_for_click, sent_by: announce, within: P1D, on_click: text, on_timeout: exit}\n"
TEXT = "  - {id: text, type: send_sms, message: hi}\n"


class Play:
    """One run in a simulation, and what it sends."""

    def __init__(self, steps: str, **fields: str) -> None:
        self.sent: list[tuple[str, timedelta]] = []

        def provider(send: Any, profile: ProfileView) -> Any:
            self.sent.append((send.step, self.simulation.now - T))
            return "accepted"

        self.simulation = Simulation(T, provider=provider)
        self.simulation.profiles[PERSON] = ProfileView(PERSON, {}, {"email": "a@example.org", "phone": "+1555"})
        self.version = journey(steps, **fields)
        self.run: SimulatedRun = self.simulation.start(self.version, PERSON, RUN)

    def until(self, at: timedelta) -> "Play":
        self.simulation.run(T + at)
        return self

    def pause(self, *, freeze: bool = False) -> None:
        self.simulation.pause("test", freeze=freeze)

    def resume(self) -> None:
        self.simulation.resume("test")

    def click(self) -> None:
        self.simulation.record(PERSON, "click", message_id=message_id(RUN, "announce", 1), link="details")

    @property
    def path(self) -> list[tuple[str, timedelta]]:
        return [(move.to_step, move.at - T) for move in self.run.moves]

    @property
    def is_held(self) -> bool:
        return isinstance(self.run.plan, Park) and self.run.plan.held


def test_a_wait_that_is_over_meanwhile_leads_to_the_send_and_no_further() -> None:
    play = Play("  - {id: rest, type: wait, for: PT1H}\n" + TEXT)
    play.pause()
    play.until(DAY)
    assert (play.sent, play.is_held, play.path[-1]) == ([], True, ("text", HOUR))
    play.resume()
    assert play.sent == [("text", DAY)]
    assert play.run.finish == Finish("completed")


def test_nothing_is_lost_however_long_it_lasts() -> None:
    play = Play("  - {id: rest, type: wait, for: PT1H}\n" + TEXT)
    play.pause()
    play.until(400 * DAY)
    play.resume()
    assert play.sent == [("text", 400 * DAY)]


def test_a_click_meanwhile_counts() -> None:
    play = Play(SEND + AWAIT + TEXT)
    play.pause()
    play.until(HOUR).click()
    play.until(3 * DAY)
    assert play.is_held
    play.resume()
    assert [step for step, _ in play.path] == ["announce", "look", "text", "exit"]


@pytest.mark.parametrize(("freeze", "way"), [(False, "exit"), (True, "text")])
def test_a_click_after_the_deadline_counts_only_if_waits_stood_still(freeze: bool, way: str) -> None:
    play = Play(SEND + AWAIT + TEXT)
    play.until(HOUR).pause(freeze=freeze)
    play.until(2 * DAY).click()
    play.resume()
    assert play.path[2][0] == way


def test_a_frozen_wait_goes_on_where_it_stood() -> None:
    play = Play("  - {id: rest, type: wait, for: PT10H}\n" + TEXT)
    play.until(4 * HOUR).pause(freeze=True)
    play.until(4 * HOUR + 3 * DAY).resume()
    play.until(3 * DAY + 9 * HOUR)
    assert play.sent == []
    play.until(3 * DAY + 10 * HOUR)
    assert play.sent == [("text", 3 * DAY + 10 * HOUR)]


def test_a_date_is_a_date_also_when_waits_are_frozen() -> None:
    play = Play("  - {id: launch, type: wait_until, at: 2026-12-02T09:00}\n" + TEXT)
    play.pause(freeze=True)
    play.until(2 * DAY)
    assert (play.path[-1], play.is_held) == (("text", DAY), True)


def test_a_second_pause_counts_like_the_first() -> None:
    play = Play("  - {id: rest, type: wait, for: PT10H}\n" + TEXT)
    for hours in (1, 5):
        play.until(hours * HOUR).pause(freeze=True)
        play.until((hours + 2) * HOUR).resume()
    play.until(2 * DAY)
    assert play.sent == [("text", 14 * HOUR)]


def test_what_is_decided_after_the_resumption_is_decided_on_the_profile_as_it_is_then() -> None:
    choice = "  - {id: c, type: if, cases: [{when: {attribute: vip, op: eq, value: true}, next: text}], else: exit}\n"
    play = Play(SEND + choice + TEXT)
    play = Play("  - {id: rest, type: wait, for: PT1H}\n" + choice + TEXT)
    play.pause(freeze=True)
    play.until(DAY)
    play.simulation.update(PERSON, {"vip": True})
    play.resume()
    play.until(2 * DAY)
    assert [step for step, _ in play.sent] == ["text"]


# -- leaving --------------------------------------------------------------------------------------------------------


def test_an_event_that_the_journey_exits_on_ends_a_wait_at_once() -> None:
    play = Play(SEND + AWAIT + TEXT, exit_on="[{event: bought, reason: is_customer}]")
    play.until(HOUR)
    play.simulation.record(PERSON, "other")
    assert play.run.finish is None
    play.simulation.record(PERSON, "bought")
    assert play.run.finish == Finish("exited", "is_customer")
    play.click()
    play.until(2 * DAY)
    assert [step for step, _ in play.sent] == ["announce"]


def test_an_exit_looks_at_the_events_properties_and_at_nothing_before_the_entry() -> None:
    steps = "  - {id: rest, type: wait, for: P9D}\n"
    rules = "[{event: bought, where: [{attribute: total, op: gte, value: 100}]}]"
    play = Play(steps, exit_on=rules)
    play.simulation.record(PERSON, "bought", properties={"total": 5})
    assert play.run.finish is None
    play.simulation.record(PERSON, "bought", properties={"total": 500})
    assert play.run.finish == Finish("exited", "exit_event")
    again = play.simulation.start(play.version, PERSON, UUID(int=7))
    assert again.finish is None


def test_an_exit_finds_a_run_that_is_held() -> None:
    play = Play("  - {id: rest, type: wait, for: PT1H}\n" + TEXT, exit_on="[{event: bought}]")
    play.pause()
    play.until(DAY)
    play.simulation.record(PERSON, "bought")
    assert (play.run.finish, play.sent) == (Finish("exited", "exit_event"), [])


@pytest.mark.parametrize(
    ("steps", "ends"),
    [
        ("  - {id: rest, type: wait, for: P9D}\n" + TEXT, 2 * DAY),
        ("  - {id: rest, type: wait, for: P1D}\n" + TEXT, DAY),
    ],
    ids=["waits longer", "is through before"],
)
def test_nobody_is_inside_longer_than_the_greatest_age(steps: str, ends: timedelta) -> None:
    play = Play(steps, max_age="P2D")
    play.until(10 * DAY)
    assert play.path[-1] == ("exit", ends)
    assert play.run.finish == (Finish("exited", "max_age") if ends == 2 * DAY else Finish("completed"))


# -- how long something takes -----------------------------------------------------------------------------------------

INSTANTS = st.integers(0, 100).map(lambda hours: T + hours * HOUR)


@st.composite
def stretches(draw: st.DrawFn) -> list[Freeze]:
    marks = sorted(draw(st.sets(INSTANTS, max_size=8)))
    pairs = list(zip(marks[::2], marks[1::2], strict=False))
    found = [Freeze(*pair) for pair in pairs]
    return [*found, Freeze(marks[-1])] if len(marks) % 2 else found


@given(INSTANTS, st.integers(1, 60), stretches())
def test_time_passes_hour_by_hour_outside_of_freezes(since: datetime, hours: int, freezes: list[Freeze]) -> None:
    """Against a clock that is looked at every hour."""
    left, at = hours, since
    while left and at < T + 1000 * HOUR:
        frozen = any(each.from_at <= at and (each.to_at is None or at < each.to_at) for each in freezes)
        left -= 0 if frozen else 1
        at += HOUR
    assert elapse(since, hours * HOUR, freezes) == (FOREVER if left else at)
