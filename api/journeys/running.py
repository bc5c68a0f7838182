"""`/v1/journeys`, continued: pausing and resuming, light changes, and moving whoever is inside."""

from typing import Annotated

from fastapi import APIRouter, Path

from api.actor import UNNAMED, Actor
from api.bodies import reads
from api.errors import declares
from api.journeys.models import JourneyWithOccurrences
from api.journeys.running_models import (
    CHANGE_EXAMPLES,
    MOVE_EXAMPLES,
    PAUSE_EXAMPLES,
    RESUME_EXAMPLES,
    ChangeIn,
    ChoiceIn,
    ChoiceOut,
    MovedOut,
    MoveIn,
    PausedOut,
    PauseIn,
    ResumeIn,
)
from api.model import PathKey
from api.parts import Parts
from wend.errors import NotFound
from wend.journeys.model import KEY_PATTERN
from wend.lifecycle import adjusting, moving, pausing, reading
from wend.lifecycle.moving import NothingToMove
from wend.lifecycle.pausing import ResumesInThePast
from wend.lifecycle.publishing import IllegalTransition

router = APIRouter(prefix="/journeys", tags=["journeys"])

PauseBody = reads(PauseIn, optional=True, examples=PAUSE_EXAMPLES)
ResumeBody = reads(ResumeIn, optional=True, examples=RESUME_EXAMPLES)
ChangeBody = reads(ChangeIn, examples=CHANGE_EXAMPLES)
ChoiceBody = reads(ChoiceIn, examples={"the corrected one": {"version": 2}})
MoveBody = reads(MoveIn, examples=MOVE_EXAMPLES)


@router.post("/{key}/pause", responses=declares(NotFound, IllegalTransition, ResumesInThePast))
def pause_journey(key: PathKey, asked: Annotated[PauseIn, PauseBody], parts: Parts, by: Actor = UNNAMED) -> PausedOut:
    """Send nothing from the answer on, and lose nobody: whoever comes to a send waits for the pause to end.

    Clicks and events count as ever.
    """
    with parts.database.write() as connection:
        now = parts.clock()
        paused = pausing.pause(connection, key, asked.chosen(), now, resume_at=asked.resume_at, by=by)
    return PausedOut.of(paused, asked.resume_at)


@router.post("/{key}/resume", responses=declares(NotFound, IllegalTransition, ResumesInThePast))
def resume_journey(
    key: PathKey, asked: Annotated[ResumeIn, ResumeBody], parts: Parts, by: Actor = UNNAMED
) -> PausedOut:
    """Let a paused journey go on, now or later: held runs are woken at the rate, and decide on what holds then."""
    with parts.database.write() as connection:
        now = parts.clock()
        if asked.at is None:
            resumed = pausing.resume(connection, key, now, rate=asked.rate, by=by)
        else:
            resumed = pausing.resume_later(connection, key, asked.at, now, by=by)
    return PausedOut.of(resumed, asked.at)


@router.patch("/{key}", responses=declares(NotFound, IllegalTransition))
def change_journey(
    key: PathKey, asked: Annotated[ChangeIn, ChangeBody], parts: Parts, by: Actor = UNNAMED
) -> JourneyWithOccurrences:
    """Change what a journey is called, or how fast it takes people in, without a new version."""
    with parts.database.write() as connection:
        adjusting.adjust(
            connection,
            key,
            parts.clock(),
            name=asked.name,
            description=asked.description,
            rate=asked.rate,
            by=by,
        )
        journey = reading.read_journey(connection, key)
    return JourneyWithOccurrences.of(journey, parts.timetable.ahead(key, parts.clock()))


@router.put("/{key}/messages/{message}", responses=declares(NotFound, IllegalTransition))
def choose_message(
    key: PathKey,
    message: Annotated[str, Path(pattern=KEY_PATTERN)],
    asked: Annotated[ChoiceIn, ChoiceBody],
    parts: Parts,
    by: Actor = UNNAMED,
) -> ChoiceOut:
    """Have the published versions send another version of a message from the next send on; what was sent stays."""
    with parts.database.write() as connection:
        versions = adjusting.choose_message(connection, key, message, asked.version, parts.clock(), by=by)
    return ChoiceOut(journey=key, message=message, version=asked.version, versions=versions)


@router.post("/{key}/move", responses=declares(NotFound, IllegalTransition, NothingToMove))
def move_runs(
    key: PathKey,
    asked: Annotated[MoveIn, MoveBody],
    parts: Parts,
    preview: bool = False,
    by: Actor = UNNAMED,
) -> MovedOut:
    """Move those inside to another version, each where they stand, their waits timed anew; `preview` only counts them.

    A step that is gone and not mapped is a problem, and nobody is moved.
    """
    if preview:
        with parts.database.read() as connection:
            return MovedOut.of(moving.preview_move(connection, key, asked.chosen()))
    with parts.database.write() as connection:
        return MovedOut.of(moving.move(connection, key, asked.chosen(), parts.clock(), rate=asked.rate, by=by))
