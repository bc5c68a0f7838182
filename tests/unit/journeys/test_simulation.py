"""The simulation: a virtual clock, one order of things, and the same answer every time."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest

from tests.unit.journeys.documents import EVERY_STEP, REFERENCE
from tests.unit.journeys.kernel import journey
from wend.documents import read_definition
from wend.journeys.definition import JourneyVersion
from wend.journeys.facts import ProfileView
from wend.journeys.results import Finish, Send
from wend.journeys.simulation import SimulatedRun, Simulation
from wend.journeys.state import SendOutcome, message_id

REFERENCE_VERSION = JourneyVersion(read_definition(REFERENCE))
START = datetime(2026, 12, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LAUNCH = datetime(2026, 12, 10, 8, tzinfo=UTC)
"""Nine o'clock in Paris."""


def an_id(name: str) -> UUID:
    return uuid5(NAMESPACE_URL, name)


def begin(
    simulation: Simulation, name: str, version: JourneyVersion = REFERENCE_VERSION, **properties: Any
) -> SimulatedRun:
    """Start a run of a person with an address and a phone."""
    profile = an_id(f"profile/{name}")
    identities = {"email": f"{name}@example.org", "phone": "+15550100"}
    simulation.profiles.setdefault(profile, ProfileView(profile, {"name": name}, identities))
    return simulation.start(version, profile, an_id(f"run/{name}"), properties)


def click(simulation: Simulation, run: SimulatedRun, link: str = "product-details") -> Callable[[], None]:
    """Return what stores a click on the announcement."""

    def store() -> None:
        simulation.record(run.profile_id, "click", message_id=message_id(run.id, "announce", 1), link=link)

    return store


def path(run: SimulatedRun) -> list[str]:
    return [move.to_step for move in run.moves]


# -- the reference journey ---------------------------------------------------------------------------------------------


def test_who_clicks_within_a_day_gets_the_text_on_launch_day() -> None:
    simulation = Simulation(START)
    run = begin(simulation, "ada")
    simulation.at(START + 2 * HOUR, click(simulation, run))
    simulation.run()
    assert path(run) == ["announce", "interested", "launch-day", "launched", "exit"]
    assert run.finish == Finish("completed")
    assert [move.at for move in run.moves] == [START, START, START + 2 * HOUR, LAUNCH, LAUNCH]
    assert [(sent.step, sent.outcome, sent.at) for sent in run.state.sent] == [
        ("announce", "accepted", START),
        ("launched", "accepted", LAUNCH),
    ]


@pytest.mark.parametrize("link", [None, "imprint"], ids=["nothing", "another link"])
def test_who_does_not_click_is_left_alone(link: str | None) -> None:
    simulation = Simulation(START)
    run = begin(simulation, "ada")
    if link:
        simulation.at(START + 2 * HOUR, click(simulation, run, link))
    simulation.run()
    assert path(run) == ["announce", "interested", "exit"]
    assert run.moves[-1].at == START + DAY
    assert [sent.step for sent in run.state.sent] == ["announce"]


def test_a_click_after_the_end_changes_nothing() -> None:
    simulation = Simulation(START)
    run = begin(simulation, "ada")
    simulation.at(START + 2 * DAY, click(simulation, run))
    simulation.run()
    assert path(run) == ["announce", "interested", "exit"]


def test_a_journey_that_begins_after_the_launch_goes_on_at_once() -> None:
    simulation = Simulation(LAUNCH + DAY)
    run = begin(simulation, "ada")
    simulation.at(LAUNCH + DAY + HOUR, click(simulation, run))
    simulation.run()
    assert [move.at for move in run.moves[-3:]] == [LAUNCH + DAY + HOUR] * 3


def test_who_has_no_address_skips_the_mail_and_times_out_at_once() -> None:
    simulation = Simulation(START)
    profile = an_id("profile/ada")
    simulation.profiles[profile] = ProfileView(profile, {}, {"phone": "+15550100"})
    run = begin(simulation, "ada")
    simulation.run()
    assert path(run) == ["announce", "interested", "exit"]
    assert [sent.outcome for sent in run.state.sent] == ["no_address"]
    assert run.moves[-1].at == START


def test_a_provider_says_what_becomes_of_a_send() -> None:
    def refuses_texts(send: Send, profile: ProfileView) -> SendOutcome:
        return "refused" if send.channel == "sms" else "uncertain"

    simulation = Simulation(START, provider=refuses_texts)
    run = begin(simulation, "ada")
    simulation.at(START + HOUR, click(simulation, run))
    simulation.run()
    assert [sent.outcome for sent in run.state.sent] == ["uncertain", "refused"]
    assert run.finish == Finish("failed", "message_refused")


def test_a_profile_that_is_deleted_on_the_way_ends_its_run() -> None:
    simulation = Simulation(START)
    run = begin(simulation, "ada")
    simulation.at(START + HOUR, click(simulation, run))
    simulation.at(START + DAY, lambda: simulation.delete(run.profile_id))
    simulation.run()
    assert run.finish == Finish("exited", "profile_deleted")
    assert run.moves[-1].at == START + DAY


def test_stopping_a_journey_ends_its_runs_where_they_are_and_no_others() -> None:
    simulation = Simulation(START)
    run = begin(simulation, "ada")
    other = begin(simulation, "bob", journey("  - {id: pause, type: wait, for: P1D}"))
    simulation.at(START + HOUR, lambda: simulation.stop("product-launch"))
    simulation.run()
    assert run.finish == Finish("stopped", "stopped")
    assert (path(run), run.moves[-1].at) == (["announce", "interested", "exit"], START + HOUR)
    assert other.finish == Finish("completed")


@pytest.mark.parametrize(
    ("once_per", "outcomes"),
    [("journey", ["accepted", "already_sent"]), ("entry", ["accepted", "accepted"])],
)
def test_an_address_that_two_people_share_gets_a_message_once_where_that_is_asked_for(
    once_per: str, outcomes: list[str]
) -> None:
    version = journey(f"  - {{id: announce, type: send_email, message: news, once_per_address: {once_per}}}")
    simulation = Simulation(START)
    for name in ("ada", "bob"):
        profile = an_id(f"profile/{name}")
        simulation.profiles[profile] = ProfileView(profile, {}, {"email": "home@example.org"})
        begin(simulation, name, version)
    assert [run.state.sent[0].outcome for run in simulation.runs] == outcomes


# -- the order of things -----------------------------------------------------------------------------------------------


def test_an_event_at_the_very_deadline_comes_before_the_timer() -> None:
    for early in (True, False):
        simulation = Simulation(START)
        run = begin(simulation, "ada")
        instant = START + DAY
        if early:  # planned before the timer, or after it: it makes no difference
            simulation.at(instant, click(simulation, run))
        simulation.run(until=START + HOUR)
        if not early:
            simulation.at(instant, click(simulation, run))
        simulation.run()
        assert path(run)[2] == "launch-day"
        assert run.moves[2].at == instant


def test_events_of_one_instant_happen_in_the_order_in_which_they_were_planned() -> None:
    simulation = Simulation(START)
    seen: list[int] = []
    for number in range(5):
        simulation.at(START + HOUR, lambda number=number: seen.append(number))  # type: ignore[misc]
    simulation.run()
    assert seen == [0, 1, 2, 3, 4]


def test_what_is_stored_right_after_a_decision_is_stamped_after_it() -> None:
    simulation = Simulation(START)
    run = begin(simulation, "ada")
    event = simulation.record(run.profile_id, "visit")
    assert event.at == START + timedelta(microseconds=1)


def test_one_event_that_is_stored_at_the_instant_of_arrival_does_not_end_two_waits() -> None:
    version = journey("""
  - {id: first, type: wait_for_event, event: purchase, within: P1D, on_timeout: exit}
  - {id: second, type: wait_for_event, event: purchase, within: P1D, on_timeout: exit}
""")
    simulation = Simulation(START)
    run = begin(simulation, "ada", version)
    simulation.record(run.profile_id, "purchase")
    assert path(run) == ["first", "second"]
    simulation.record(run.profile_id, "purchase")
    assert path(run) == ["first", "second", "exit"]


def test_events_of_one_stamp_are_all_counted() -> None:
    version = journey("""
  - {id: pause, type: wait, for: PT1H}
  - {id: bought, type: wait_for_event, event: purchase, within: P1D, since: entry, on_event: bought, on_timeout: exit}
""")
    simulation = Simulation(START)
    run = begin(simulation, "ada", version)
    stamps = {simulation.record(run.profile_id, "purchase").at for _ in range(8)}
    simulation.run()
    assert len(stamps) == 1
    assert path(run) == ["pause", *["bought"] * 9, "exit"]


def test_one_persons_event_wakes_all_their_runs_and_nobody_elses() -> None:
    version = journey("  - {id: bought, type: wait_for_event, event: purchase, within: P1D}")
    simulation = Simulation(START)
    one = begin(simulation, "ada", version)
    other = begin(simulation, "bob", version)
    again = simulation.start(version, one.profile_id, an_id("run/ada/2"))
    simulation.record(one.profile_id, "purchase")
    assert (one.finish, again.finish, other.finish) == (Finish("completed"), Finish("completed"), None)


def test_what_one_run_sets_another_run_of_the_same_person_sees() -> None:
    setter = journey("  - {id: mark, type: update_profile, set: {plan: gold, name: null}}")
    simulation = Simulation(START)
    run = begin(simulation, "ada", setter)
    assert simulation.profiles[run.profile_id].attributes == {"plan": "gold"}
    simulation.update(an_id("profile/nobody"), {"plan": "gold"})
    assert an_id("profile/nobody") not in simulation.profiles


def test_the_clock_runs_to_where_it_is_told_and_never_back() -> None:
    simulation = Simulation(START)
    run = begin(simulation, "ada")
    simulation.run(until=START + HOUR)
    assert simulation.now == START + HOUR
    simulation.at(START, click(simulation, run))  # in the past: at once
    simulation.run(until=START)
    assert path(run)[-1] == "interested"
    simulation.run(until=START + HOUR)
    assert path(run)[-1] == "launch-day"
    assert run.moves[-1].at == START + HOUR


def test_a_wait_without_an_end_does_not_end_with_the_clock() -> None:
    simulation = Simulation(datetime(9500, 1, 1, tzinfo=UTC))
    run = begin(simulation, "ada", journey("  - {id: pause, type: wait, for: P365000D}"))
    simulation.run()
    assert run.finish is None


# -- many --------------------------------------------------------------------------------------------------------------


def thousand() -> Simulation:
    """Return a thousand runs of the reference journey, at an end: every third clicks, some late, some twice."""
    simulation = Simulation(START)
    for number in range(1000):

        def enter(number: int = number) -> None:
            run = begin(simulation, f"p{number}")
            if number % 3 == 0:
                simulation.at(simulation.now + timedelta(minutes=number), click(simulation, run))
            if number % 7 == 0:
                simulation.at(simulation.now + DAY + timedelta(minutes=number), click(simulation, run))

        simulation.at(START + timedelta(seconds=number), enter)
    simulation.run()
    return simulation


def test_a_thousand_runs_come_to_their_end_and_the_figures_add_up() -> None:
    simulation = thousand()
    assert Counter(run.finish.outcome for run in simulation.runs if run.finish) == {"completed": 1000}
    # 0, 3, … 999 click after so many minutes, all of them within a day (1,440 minutes): 334 people.
    # 0 clicks at the very deadline again, which is the second click of somebody who is past it.
    texts = sum(1 for run in simulation.runs for sent in run.state.sent if sent.step == "launched")
    assert texts == 334
    assert sum(len(run.state.sent) for run in simulation.runs) == 1334
    assert (
        len({message_id(run.id, sent.step, sent.visit) for run in simulation.runs for sent in run.state.sent}) == 1334
    )


def test_the_same_simulation_gives_the_same_moves() -> None:
    one, other = thousand(), thousand()
    assert [run.moves for run in one.runs] == [run.moves for run in other.runs]
    assert [run.state for run in one.runs] == [run.state for run in other.runs]


def test_a_journey_with_every_step_type_is_simulated_to_its_end() -> None:
    version = JourneyVersion(read_definition(EVERY_STEP))
    simulation = Simulation(START, memberships=lambda segment, profile, now: segment == "vips")
    buyer, idler = begin(simulation, "ada", version, order={"id": 7}), begin(simulation, "bob", version)
    simulation.update(buyer.profile_id, {"plan": {"renewal": "2027-01-15"}})
    simulation.update(idler.profile_id, {"plan": {"name": "basic"}, "born": "2015-01-01", "x": 1})
    small, good = {"amount": 1, "item": "a", "order": 7}, {"amount": 150, "item": "a", "order": 7}
    simulation.at(START + 3 * DAY, lambda: simulation.record(buyer.profile_id, "purchase", properties=small))
    simulation.at(START + 4 * DAY, lambda: simulation.record(buyer.profile_id, "purchase", properties=good))
    simulation.run()
    assert path(buyer) == ["announce", "pause", "clicked", "bought", "mark", "due", "text", "exit"]
    # Three days before midnight in Lord Howe, which is eleven hours ahead in January.
    assert buyer.moves[6].at == datetime(2027, 1, 11, 13, tzinfo=UTC)
    assert simulation.profiles[buyer.profile_id].attributes["last order"] == {"n": [1, 2.5, "x"]}
    assert simulation.profiles[buyer.profile_id].attributes["order id"] == 7
    assert path(idler) == ["announce", "pause", "clicked", "bought", "choice", "launch", "text", "exit"]
