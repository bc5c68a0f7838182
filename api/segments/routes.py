"""`/v1/segments`."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.bodies import MOST_BATCH_BYTES, reads
from api.errors import declares, within
from api.model import PathKey
from api.paging import IDS, KEYS, Page, Paging
from api.parts import Parts
from api.segments.models import (
    EXAMPLES,
    PREVIEW_EXAMPLES,
    Count,
    ListAnswer,
    ListedIn,
    MembersIn,
    Preview,
    RuleIn,
    Sample,
    SegmentIn,
    SegmentOut,
    read_rule,
    read_segment,
)
from wend.errors import NotFound
from wend.lifecycle.reading import journeys_using_segment
from wend.profiles import store as profile_store
from wend.profiles.model import Profile
from wend.segments import lists, store
from wend.segments.previewing import preview_rule
from wend.segments.store import SegmentInUse, WrongKind

router = APIRouter(prefix="/segments", tags=["segments"])

SegmentBody = reads(SegmentIn, parse=read_segment, yaml=True, examples=EXAMPLES)
RuleBody = reads(RuleIn, parse=read_rule, yaml=True, examples=PREVIEW_EXAMPLES)
SampleSize = Annotated[int, Query(ge=1, le=100)]


@router.put("/{key}", responses=declares(WrongKind))
def put_segment(key: PathKey, segment: Annotated[SegmentIn, SegmentBody], parts: Parts) -> SegmentOut:
    """Make a segment, or change the one that is there; a list keeps its members."""
    with parts.database.write() as connection, within("rule"):
        if segment.rule is None:
            return SegmentOut.of(store.put_list(connection, key, segment.name, parts.clock()))
        return SegmentOut.of(store.put_rule(connection, key, segment.name, segment.rule, parts.clock()))


@router.get("")
def list_segments(parts: Parts, paging: Paging) -> Page[SegmentOut]:
    """List segments."""
    with parts.database.read() as connection:
        found = store.page(connection, paging.after("segments", KEYS), paging.more)
    return paging.page("segments", found, lambda segment: segment.key, SegmentOut.of)


@router.get("/{key}", responses=declares(NotFound))
def get_segment(key: PathKey, parts: Parts) -> SegmentOut:
    """Return a segment."""
    with parts.database.read() as connection:
        return SegmentOut.of(store.get(connection, key))


@router.delete("/{key}", status_code=204, responses=declares(NotFound, SegmentInUse))
def delete_segment(key: PathKey, parts: Parts) -> None:
    """Delete a segment that no journey and no other segment names; the profiles in it stay."""
    with parts.database.write() as connection:
        store.delete(connection, key, lambda segment: journeys_using_segment(connection, segment))


@router.get("/{key}/count", responses=declares(NotFound))
def count_members(key: PathKey, parts: Parts) -> Count:
    """Count the members."""
    with parts.database.read() as connection:
        return Count(count=store.count(connection, key, parts.clock()))


@router.get("/{key}/sample", responses=declares(NotFound))
def sample_members(key: PathKey, parts: Parts, size: SampleSize = 10) -> Sample:
    """Return some members, drawn at random."""
    with parts.database.read() as connection:
        ids = store.sample(connection, key, parts.clock(), size)
        return Sample(items=list(profile_store.get_many(connection, ids).values()))


@router.get("/{key}/members", responses=declares(NotFound))
def list_members(key: PathKey, parts: Parts, paging: Paging) -> Page[Profile]:
    """List the members."""
    kind = f"members-{key}"
    with parts.database.read() as connection:
        ids = store.page_members(connection, key, parts.clock(), paging.after(kind, IDS), paging.more)
        members = profile_store.get_many(connection, ids)
    return paging.page(kind, list(members.values()), lambda profile: profile.id, lambda profile: profile)


@router.post("/{key}/members", responses=declares(NotFound, WrongKind))
def change_members(
    key: PathKey, members: Annotated[MembersIn, reads(MembersIn, most=MOST_BATCH_BYTES)], parts: Parts
) -> ListAnswer:
    """Put profiles into a list, and take others out."""
    with parts.database.write() as connection:
        added = lists.add_members(connection, key, members.add.listed(), parts.clock())
        return ListAnswer.of(added, lists.remove_members(connection, key, members.remove.listed()))


@router.put("/{key}/members", responses=declares(NotFound, WrongKind))
def replace_members(
    key: PathKey, members: Annotated[ListedIn, reads(ListedIn, most=MOST_BATCH_BYTES)], parts: Parts
) -> ListAnswer:
    """Make these profiles the list's only members."""
    with parts.database.write() as connection:
        return ListAnswer.of(lists.replace_members(connection, key, members.listed(), parts.clock()))


@router.post("/preview")
def preview_segment(rule: Annotated[RuleIn, RuleBody], parts: Parts) -> Preview:
    """Try a rule without saving it: how many it means now, and some of them."""
    with parts.database.read() as connection, within("rule"):
        found = preview_rule(connection, rule.rule, parts.clock(), rule.sample)
        sample = profile_store.get_many(connection, found.sample)
    return Preview(count=found.count, sample=list(sample.values()))
