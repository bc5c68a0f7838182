"""Made-up journeys with made-up events: the simulator and the server make the same moves."""

from datetime import timedelta

from hypothesis import HealthCheck, Phase, given, settings

from tests.support import scenarios_simulated
from tests.support.scenarios import Scenario
from tests.support.scenarios_passages import differences, disagreements
from tests.support.scenarios_random import made_up
from tests.support.scenarios_server import LATENESS, Stage

slow = (HealthCheck.too_slow, HealthCheck.function_scoped_fixture)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=slow)
@given(made_up())
def test_a_made_up_journey_never_contradicts_itself(scenario: Scenario) -> None:
    found = differences(scenario, scenarios_simulated.play(scenario), timedelta(0))
    assert not found, "\n".join(found)


@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=slow,
)
@given(made_up())
async def test_both_engines_take_the_same_path(server: Stage, scenario: Scenario) -> None:
    simulated = scenarios_simulated.play(scenario)
    played = await server.play(scenario)
    found = differences(scenario, played, LATENESS) + disagreements(scenario, simulated, played, LATENESS)
    assert not found, "\n".join(found)
