"""`/v1/runs`, and `/v1/journeys/{key}/runs`, where they are started."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.actor import UNNAMED, Actor
from api.bodies import reads
from api.errors import declares
from api.idempotency import IdempotencyKey, once
from api.model import PathKey
from api.paging import MOMENTS, Page, Paging, moment
from api.parts import Parts
from api.runs.models import EXAMPLES, RunOut, RunWithPath, StartedOut, StartIn, State, TakenOutOut, TakeOut
from wend.errors import InvalidDocument, NotFound, Problem
from wend.idempotency import KeyUsedOtherwise
from wend.journeys.model import KEY_PATTERN
from wend.lifecycle.publishing import IllegalTransition
from wend.lifecycle.reading import read_journey
from wend.lifecycle.taking_out import RunHasEnded, take_out_profile, take_out_run
from wend.profiles.resolving import AmbiguousIdentity, resolve
from wend.runs.reading import page_runs, read_run
from wend.runs.requesting import (
    EntryLimitReached,
    NotThroughApi,
    OutsideWindow,
    StillInside,
    TooSoon,
    request_run,
)
from wend.temporal import parse_run_workflow_id

router = APIRouter(tags=["runs"])

KeyFilter = Annotated[str | None, Query(pattern=KEY_PATTERN)]


@router.post(
    "/journeys/{key}/runs",
    status_code=202,
    responses=declares(
        NotFound,
        IllegalTransition,
        NotThroughApi,
        OutsideWindow,
        StillInside,
        EntryLimitReached,
        TooSoon,
        AmbiguousIdentity,
        KeyUsedOtherwise,
    ),
)
def start_run(
    key: PathKey,
    start: Annotated[StartIn, reads(StartIn, examples=EXAMPLES)],
    parts: Parts,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> StartedOut:
    """Enter one person into the journey's newest version, as its window and its rules of re-entry allow."""
    now = parts.clock()
    with parts.database.write() as connection:

        def enter() -> dict[str, Any]:
            named = start.profile
            if named is None:
                profile_id = start.profile_id
            else:
                profile_id = resolve(connection, named.namespace, named.value, parts.default_region)
            assert profile_id is not None, "one of the two is given"
            run = request_run(connection, parts.versions, key, profile_id, start.properties, now)
            return StartedOut.model_validate(run).model_dump(mode="json")

        answer = once(connection, f"start_run/{key}", idempotency_key, start, now, enter)
    started = StartedOut.model_validate(answer)
    response.headers["Location"] = f"/v1/runs/{started.id}"
    return started


@router.get("/runs", responses=declares(NotFound))
def list_runs(
    parts: Parts,
    paging: Paging,
    journey: KeyFilter = None,
    profile_id: UUID | None = None,
    entry_id: UUID | None = None,
    state: State | None = None,
    step: KeyFilter = None,
    workflow_id: Annotated[
        str | None, Query(max_length=200, description="Of the run's workflow, as the Temporal UI shows it.")
    ] = None,
) -> Page[RunOut]:
    """List runs, the newest first, narrowed by whatever is given; runs of one instant come by their ids, descending."""
    entry_number = None
    if workflow_id is not None:
        named, whose, entry_number = _parse(workflow_id)
        if journey not in (None, named) or profile_id not in (None, whose):
            return Page(items=[], next=None)
        journey, profile_id = named, whose
    with parts.database.read() as connection:
        if journey is not None:
            read_journey(connection, journey)
        found = page_runs(
            connection,
            journey=journey,
            profile_id=profile_id,
            entry_id=entry_id,
            state=state,
            step=step,
            entry_number=entry_number,
            before=paging.after("runs", MOMENTS),
            limit=paging.more,
        )
    return paging.page("runs", found, lambda run: moment(run.created_at, run.id), RunOut.of)


@router.get("/runs/{id}", responses=declares(NotFound))
def get_run(id: UUID, parts: Parts) -> RunWithPath:
    """Return a run with its whole path: every move with its reason, message and click."""
    with parts.database.read() as connection:
        return RunWithPath.of_path(read_run(connection, id))


@router.post("/runs/{id}/exit", responses=declares(NotFound, RunHasEnded))
def exit_run(id: UUID, parts: Parts, by: Actor = UNNAMED) -> TakenOutOut:
    """Take one person out of one run, whatever it waits for: nothing is sent to them by it after the answer."""
    with parts.database.write() as connection:
        return TakenOutOut.model_validate(take_out_run(connection, id, parts.clock(), by=by))


@router.post("/profiles/{id}/exit", responses=declares(NotFound))
def exit_profile(
    id: UUID,
    asked: Annotated[TakeOut, reads(TakeOut, optional=True, examples={"of one": {"journey": "product-launch"}})],
    parts: Parts,
    by: Actor = UNNAMED,
) -> TakenOutOut:
    """Take one person out of one journey, or of all that they are in. They may enter again as journeys allow."""
    with parts.database.write() as connection:
        return TakenOutOut.model_validate(take_out_profile(connection, id, parts.clock(), journey=asked.journey, by=by))


def _parse(workflow_id: str) -> tuple[str, UUID, int]:
    try:
        return parse_run_workflow_id(workflow_id)
    except ValueError as error:
        raise InvalidDocument("The request", [Problem("query.workflow_id", str(error))]) from error
