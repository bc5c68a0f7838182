"""`/v1/journeys`: drafts, publishing, the end, and how a journey stands."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy import Connection

from api.actor import UNNAMED, Actor
from api.bodies import YAML, reads
from api.errors import ProblemItem, declares
from api.idempotency import IdempotencyKey, once
from api.journeys.models import (
    EXAMPLES,
    AudienceOut,
    Checked,
    DraftSaved,
    EndedOut,
    EntryOut,
    FiguresOut,
    JourneyOut,
    JourneyWithOccurrences,
    PublishedOut,
    State,
    TakeIn,
    TakenIn,
    VersionOut,
    VersionWithDefinition,
)
from api.journeys.running_models import DiffOut
from api.model import PathKey, PathNumber
from api.paging import KEYS, MOMENTS, NUMBERS, Page, Paging, moment
from api.parts import Parts
from wend.documents import definition_schema, parse_definition
from wend.entries import reading as entry_reading
from wend.entries.audience import NoEntry, read_audience
from wend.entries.reading import EntryState
from wend.entries.watching import NotMissed, take_in
from wend.errors import InvalidDocument, NotFound, Problem
from wend.exchange import write_yaml
from wend.idempotency import KeyUsedOtherwise
from wend.journeys.definition import JourneyDefinition
from wend.journeys.differing import differences
from wend.journeys.model import load_zone
from wend.lifecycle import ending, publishing, reading
from wend.lifecycle.figures import read_figures
from wend.lifecycle.publishing import IllegalTransition, NoDraft
from wend.lifecycle.versions import load_version
from wend.profiles import store as profile_store

router = APIRouter(prefix="/journeys", tags=["journeys"])
schema_router = APIRouter(prefix="/schema", tags=["journeys"])


def _side(name: str) -> Any:
    return Query(alias=name, pattern="^([1-9][0-9]{0,8}|draft)$", description="A version's number, or `draft`.")


DraftBody = reads(JourneyDefinition, parse=lambda document, _: parse_definition(document), yaml=True, examples=EXAMPLES)
UncheckedBody = reads(JourneyDefinition, parse=lambda document, _: document, yaml=True, examples=EXAMPLES)


@router.get("")
def list_journeys(parts: Parts, paging: Paging, state: State | None = None) -> Page[JourneyOut]:
    """List journeys."""
    with parts.database.read() as connection:
        after = paging.after("journeys", KEYS)
        found = reading.page_journeys(connection, state=state, after=after, limit=paging.more)
    return paging.page("journeys", found, lambda journey: journey.key, JourneyOut.model_validate)


@router.get("/{key}", responses=declares(NotFound))
def get_journey(key: PathKey, parts: Parts) -> JourneyWithOccurrences:
    """Return a journey, and when it takes members in next."""
    with parts.database.read() as connection:
        journey = reading.read_journey(connection, key)
    return JourneyWithOccurrences.of(journey, parts.timetable.ahead(key, parts.clock()))


@router.put("/{key}/draft")
def put_draft(key: PathKey, definition: Annotated[JourneyDefinition, DraftBody], parts: Parts) -> DraftSaved:
    """Save a draft, making the journey if it is new. What is published, and runs on it, are not touched."""
    if definition.key != key:
        told = Problem("key", f"is {definition.key!r}, but the address says {key!r}")
        raise InvalidDocument(f"The journey {definition.key!r}", [told])
    with parts.database.write() as connection:
        revision = publishing.put_draft(connection, definition, parts.clock())
        problems = publishing.check_draft(connection, definition, parts.clock())
    return DraftSaved(key=key, revision=revision, problems=_items(problems))


@router.get(
    "/{key}/draft",
    responses={
        200: {"content": {YAML[0]: {"schema": {"type": "string"}}}, "description": "The definition."},
        **declares(NotFound, NoDraft),
    },
    response_model=dict[str, Any],
)
def get_draft(key: PathKey, request: Request, parts: Parts) -> Any:
    """Return the draft: as YAML if `Accept` asks for it, else as JSON."""
    with parts.database.read() as connection:
        document = publishing.read_draft(connection, key).document()
    if any(kind in request.headers.get("accept", "") for kind in YAML):
        return Response(write_yaml(document), media_type=YAML[0], headers={"Vary": "Accept"})
    return document


@router.post("/{key}/check", responses=declares(NotFound, NoDraft))
def check_saved_draft(key: PathKey, parts: Parts) -> Checked:
    """Return everything that stands in the way of publishing the draft."""
    with parts.database.read() as connection:
        return _checked(publishing.check_draft(connection, publishing.read_draft(connection, key), parts.clock()))


@router.post("/check")
def check_definition(document: Annotated[Any, UncheckedBody], parts: Parts) -> Checked:
    """Return everything that stands in the way of publishing a definition, without saving it."""
    try:
        definition = parse_definition(document)
    except InvalidDocument as error:
        return _checked(error.problems)
    with parts.database.read() as connection:
        return _checked(publishing.check_draft(connection, definition, parts.clock()))


@router.post("/{key}/publish", responses=declares(NotFound, NoDraft, IllegalTransition))
def publish_journey(key: PathKey, parts: Parts, by: Actor = UNNAMED) -> PublishedOut:
    """Make the draft the next version: newcomers take it, runs inside stay on theirs. All problems are told at once."""
    with parts.database.write() as connection:
        return PublishedOut.model_validate(publishing.publish(connection, key, parts.clock(), by=by))


@router.post("/{key}/close", responses=declares(NotFound, IllegalTransition))
def close_journey(key: PathKey, parts: Parts, by: Actor = UNNAMED) -> EndedOut:
    """Take nobody in any more; those inside go on to their end."""
    with parts.database.write() as connection:
        return EndedOut.model_validate(ending.close(connection, key, parts.clock(), by=by))


@router.post("/{key}/stop", responses=declares(NotFound, IllegalTransition))
def stop_journey(key: PathKey, parts: Parts, by: Actor = UNNAMED) -> EndedOut:
    """End every run of every version now; nothing is sent after the answer but what a provider has already."""
    with parts.database.write() as connection:
        return EndedOut.model_validate(ending.stop(connection, key, parts.clock(), by=by))


@router.get("/{key}/versions", responses=declares(NotFound))
def list_versions(key: PathKey, parts: Parts, paging: Paging) -> Page[VersionOut]:
    """List the published versions, newest first."""
    kind = f"versions-{key}"
    with parts.database.read() as connection:
        found = reading.page_versions(connection, key, before=paging.after(kind, NUMBERS), limit=paging.more)
    return paging.page(kind, found, lambda version: version.version, VersionOut.model_validate)


@router.get("/{key}/versions/{number}", responses=declares(NotFound))
def get_version(key: PathKey, number: PathNumber, parts: Parts) -> VersionWithDefinition:
    """Return a published version with its definition."""
    with parts.database.read() as connection:
        return VersionWithDefinition.model_validate(reading.read_version(connection, key, number))


@router.post("/{key}/versions/{number}/restore", responses=declares(NotFound))
def restore_version(key: PathKey, number: PathNumber, parts: Parts, by: Actor = UNNAMED) -> DraftSaved:
    """Make a published version the draft again, to be published as the next one."""
    with parts.database.write() as connection:
        revision = publishing.restore_draft(connection, key, number, parts.clock(), by=by)
        problems = publishing.check_draft(connection, publishing.read_draft(connection, key))
    return DraftSaved(key=key, revision=revision, problems=_items(problems))


@router.get("/{key}/diff", responses=declares(NotFound, NoDraft))
def get_diff(
    key: PathKey,
    parts: Parts,
    one: Annotated[str, _side("from")],
    other: Annotated[str, _side("to")] = "draft",
) -> DiffOut:
    """Return what differs between two versions, or a version and the draft; steps are matched by their ids."""
    with parts.database.read() as connection:
        before, after = _definition(connection, key, one), _definition(connection, key, other)
    return DiffOut.of(one, other, differences(before, after))


@router.get("/{key}/figures", responses=declares(NotFound))
def get_figures(
    key: PathKey, parts: Parts, version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None
) -> FiguresOut:
    """Return the figures over all versions, or of one."""
    with parts.database.read() as connection:
        order = reading.step_order(connection, key, version)
        return FiguresOut.model_validate(read_figures(connection, key, order, version))


@router.get("/{key}/entries", responses=declares(NotFound))
def list_entries(
    key: PathKey,
    parts: Parts,
    paging: Paging,
    kind: Literal["segment", "api"] = "segment",
    state: EntryState | None = None,
) -> Page[EntryOut]:
    """List the occasions on which segments, or joiners, entered or were to enter; or the starts through the API.

    Those that were due last come first.
    """
    list_name = f"{kind}-entries-{key}"
    with parts.database.read() as connection:
        reading.read_journey(connection, key)
        before = paging.after(list_name, MOMENTS)
        found = entry_reading.page_entries(connection, key, kind=kind, state=state, before=before, limit=paging.more)
    return paging.page(list_name, found, lambda entry: moment(entry.due_at, entry.id), EntryOut.model_validate)


@router.post("/{key}/entries", status_code=202, responses=declares(NotFound, NotMissed, KeyUsedOtherwise))
def take_in_occurrence(
    key: PathKey,
    asked: Annotated[TakeIn, reads(TakeIn, examples={"one that was missed": {"occurrence": "2026-12-01T09:00"}})],
    parts: Parts,
    idempotency_key: IdempotencyKey = None,
    by: Actor = UNNAMED,
) -> TakenIn:
    """Take an occurrence in after all that was missed or skipped, however late it is: who is a member now enters."""
    now = parts.clock()
    with parts.database.write() as connection:

        def take() -> dict[str, Any]:
            take_in(connection, key, asked.occurrence, now, by=by)
            return TakenIn(journey=key, occurrence=asked.occurrence).model_dump(mode="json")

        answer = once(connection, f"take_in/{key}", idempotency_key, asked, now, take)
    return TakenIn.model_validate(answer)


@router.get("/{key}/entries/{id}", responses=declares(NotFound))
def get_entry(key: PathKey, id: UUID, parts: Parts) -> EntryOut:
    """Return an entry: members, entered, excluded by reason."""
    with parts.database.read() as connection:
        return EntryOut.model_validate(entry_reading.read_entry(connection, key, id))


@router.get("/{key}/audience", responses=declares(NotFound, NoDraft, NoEntry))
def get_audience(key: PathKey, parts: Parts, sample: Annotated[int, Query(ge=0, le=100)] = 10) -> AudienceOut:
    """Return who would enter if the draft took its segments in now, and when it will; nobody enters by this."""
    now = parts.clock()
    with parts.database.read() as connection:
        definition = publishing.read_draft(connection, key)
        audience = read_audience(connection, definition, now, sample)
        people = profile_store.get_many(connection, audience.sample)
    return AudienceOut.of(audience, list(people.values()), load_zone(definition.time_zone), now)


@schema_router.get("/journey")
async def journey_schema() -> dict[str, Any]:
    """Return the JSON Schema of a journey definition, for editors."""
    return definition_schema()


def _definition(connection: Connection, key: str, side: str) -> JourneyDefinition:
    if side == "draft":
        return publishing.read_draft(connection, key)
    return load_version(connection, key, int(side)).definition


def _checked(problems: Sequence[Problem]) -> Checked:
    publishable = all(problem.severity == "warning" for problem in problems)
    return Checked(publishable=publishable, problems=_items(problems))


def _items(problems: Sequence[Problem]) -> list[ProblemItem]:
    return [ProblemItem.model_validate(problem) for problem in problems]
