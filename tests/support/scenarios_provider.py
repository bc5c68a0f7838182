"""The provider of scenarios on a server: accepts, refuses or leaves unknown, as it is told."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from tests.support.scenarios import Answer, Scenario
from wend.channels.factory import Channels
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.channels.port import Accepted, NotAccepted, Outcome, OutgoingEmail, OutgoingSms, Refused, Unknown
from wend.journeys.definition import JourneyDefinition
from wend.journeys.state import message_id
from wend.journeys.steps.send import SendStep

MOST_VISITS = 9
"""Of one sending step in one run of a scenario."""


class ScriptedProvider:
    """Both channels; answers as a scenario says, and keeps what it accepted or may have accepted."""

    def __init__(self) -> None:
        self.channels = Channels(MemoryEmailChannel(self._answer), MemorySmsChannel(self._answer))
        self.delivered: dict[UUID, list[OutgoingEmail | OutgoingSms]] = {}
        self._answers: dict[str, Iterator[Answer]] = {}
        self._steps: dict[UUID, SendStep] = {}

    def script(self, scenario: Scenario) -> None:
        """Begin a scenario."""
        self._answers = {step: iter(answers) for step, answers in scenario.provider.items()}
        self._steps = {}
        self.delivered = {}

    def expect(self, run_id: UUID, versions: Iterable[JourneyDefinition]) -> None:
        """Know which message belongs to which step of a run, on whichever version it is; the last one's counts."""
        for step in (step for version in versions for step in version.steps):
            if isinstance(step, SendStep):
                for visit in range(1, MOST_VISITS + 1):
                    self._steps[message_id(run_id, step.id, visit)] = step

    def may_repeat(self, id: UUID) -> bool:
        """True if the message may be delivered more than once by its author's own choice."""
        return self._steps[id].delivery == "at_least_once"

    def _answer(self, message: OutgoingEmail | OutgoingSms) -> Outcome:
        answers = self._answers.get(self._steps[message.message_id].id, iter(()))
        answer: Answer = next(answers, "accepted")
        if answer in ("accepted", "uncertain"):
            self.delivered.setdefault(message.message_id, []).append(message)
        match answer:
            case "accepted":
                return Accepted(f"memory/{message.message_id}")
            case "uncertain":
                return Unknown("timed_out")
            case "refused":
                return Refused("recipient_refused")
            case "not_accepted":
                return NotAccepted("temporarily_refused")
