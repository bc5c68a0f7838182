"""Every scenario on both engines: the simulator, and real workflows on a server that skips time."""

from datetime import timedelta
from pathlib import Path
from typing import get_args

import pytest

from tests.support import scenarios_simulated
from tests.support.scenarios import Scenario, read_scenarios
from tests.support.scenarios_passages import differences, disagreements
from tests.support.scenarios_server import LATENESS, Stage
from wend.journeys.results import Why
from wend.journeys.steps import AnyStep

SCENARIOS = [*read_scenarios(Path(__file__).parent)]
EXACTLY = timedelta(0)

scenarios = pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in SCENARIOS])


@scenarios
def test_on_the_simulator(scenario: Scenario) -> None:
    found = differences(scenario, scenarios_simulated.play(scenario), EXACTLY)
    assert not found, "\n".join(found)


@scenarios
async def test_on_the_server(scenario: Scenario, server: Stage) -> None:
    played = await server.play(scenario)
    found = differences(scenario, played, LATENESS)
    found += disagreements(scenario, scenarios_simulated.play(scenario), played, LATENESS)
    assert not found, "\n".join(found)


def test_every_step_type_and_every_reason_is_in_some_scenario() -> None:
    used = {step.type for each in SCENARIOS for journey in each.journeys for step in journey.steps}
    union, _ = get_args(AnyStep)
    assert used == {get_args(step.model_fields["type"].annotation)[0] for step in get_args(union)}

    said = {move.why for each in SCENARIOS for run in each.expect.values() for move in run.path}
    assert said == {get_args(why.__annotations__["kind"])[0] for why in get_args(Why)}


def test_every_scenario_says_what_must_come_of_it() -> None:
    names = [each.name for each in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(each.expect for each in SCENARIOS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "nowhere"),
        ("why", "timed_out"),
        ("at", timedelta(hours=2, seconds=-1)),
        ("at", timedelta(hours=1, minutes=59)),
        ("of", {"link": "imprint"}),
    ],
)
def test_a_wrong_expectation_is_told(field: str, value: object) -> None:
    """The ring can see: what is written wrongly in a file makes its test fail."""
    right = next(each for each in SCENARIOS if each.name == "a click in time leads to the launch")
    path = list(right.expect["anna"].path)
    path[2] = path[2].model_copy(update={field: value})
    wrong = right.model_copy(update={"expect": {"anna": right.expect["anna"].model_copy(update={"path": tuple(path)})}})
    assert differences(wrong, scenarios_simulated.play(right), EXACTLY)


def test_engines_that_disagree_are_told() -> None:
    one, other = (
        next(each for each in SCENARIOS if each.name == name)
        for name in ("a click in time leads to the launch", "without a click the run ends at the deadline")
    )
    played = scenarios_simulated.play(one)
    assert not disagreements(one, played, played, EXACTLY)
    assert disagreements(one, played, scenarios_simulated.play(other), EXACTLY)
