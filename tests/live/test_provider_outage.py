"""A provider is away for an hour: everybody is mailed once when it is back, as fast as its rate allows."""

from collections.abc import Callable

from temporalio.testing import WorkflowEnvironment

from tests.support.outage import TRIES_IN_OUTAGE, provider_outage
from wend.storage.database import Database

PEOPLE, RATE = 20, 4


async def test_an_outage_of_an_hour_costs_nobody_a_message_and_the_other_channel_no_time(
    database: Database, time_skipping_env: WorkflowEnvironment, record_property: Callable[[str, object], None]
) -> None:
    outage = await provider_outage(database, time_skipping_env, PEOPLE, RATE)
    record_property("figure", f"{outage}")
    assert (outage.accepted, outage.refused) == (PEOPLE - 1, 1)
    assert (outage.doubled, outage.uncertain, outage.unended) == (0, 0, 0)
    assert outage.took_failure_path == outage.refused
    assert outage.tries >= PEOPLE * (TRIES_IN_OUTAGE + 1)
    # The server lets about a second's worth through at once, and from then on so many per second.
    assert outage.ahead <= 3 * RATE
    assert outage.overtaken > 0
