"""Drafts, checks, and publishing: a draft becomes a version that never changes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from wend import outbox
from wend.documents import parse_definition
from wend.errors import Conflict, InvalidDocument, NotFound, Problem
from wend.journeys.checks import check
from wend.journeys.definition import JourneyDefinition, JourneyVersion
from wend.journeys.steps import SendEmail, SendSms
from wend.lifecycle import audit
from wend.lifecycle.catalog import StoredCatalog
from wend.lifecycle.versions import load_version
from wend.storage.database import insert_ignoring, lock_journey
from wend.storage.tables import journey_versions, journeys, messages

PUBLISHING_STATES = frozenset({"draft", "scheduled", "live", "paused"})


class IllegalTransition(Conflict):
    """The journey's state does not allow this."""

    def __init__(self, journey: str, state: str, what: str, remedy: str = "") -> None:
        super().__init__(f"Journey {journey!r} is {state} and cannot be {what}." + (f" {remedy}" if remedy else ""))
        self.journey = journey
        self.state = state


class NoDraft(Conflict):
    """There is nothing to check or publish."""

    def __init__(self, journey: str) -> None:
        super().__init__(f"Journey {journey!r} has no draft. Put one: wend journeys put FILE")
        self.journey = journey


@dataclass(frozen=True, slots=True)
class Published:
    """A published version; ``new`` is false where the draft was what is published already."""

    journey: str
    version: int
    new: bool
    state: str
    warnings: tuple[Problem, ...]


def put_draft(connection: Connection, definition: JourneyDefinition, now: datetime) -> int:
    """Save a draft, making the journey if it is new; return the draft's revision.

    Versions that are published, and runs on them, are not touched.
    """
    row = lock_journey(connection, definition.key, share=False)
    document = definition.document()
    if row is None:
        inserted = connection.execute(
            insert_ignoring(connection, journeys).values(
                key=definition.key,
                name=definition.name,
                state="draft",
                draft=document,
                draft_revision=1,
                version=0,
                created_at=now,
                updated_at=now,
            )
        )
        if inserted.rowcount:
            return 1
        row = lock_journey(connection, definition.key, share=False)  # somebody else has just made it
        assert row is not None
    values: dict[str, Any] = {"draft": document, "draft_revision": row.draft_revision + 1, "updated_at": now}
    if row.version == 0:
        values["name"] = definition.name
    connection.execute(sa.update(journeys).where(journeys.c.key == definition.key).values(**values))
    return int(row.draft_revision) + 1


def read_draft(connection: Connection, key: str) -> JourneyDefinition:
    """Return the draft.

    Raises:
        NotFound: There is no such journey.
        NoDraft: It has no draft.
    """
    row = connection.execute(sa.select(journeys.c.draft).where(journeys.c.key == key)).one_or_none()
    if row is None:
        raise NotFound("journey", key)
    if row.draft is None:
        raise NoDraft(key)
    return parse_definition(row.draft)


def restore_draft(connection: Connection, key: str, number: int, now: datetime, *, by: str = audit.ITSELF) -> int:
    """Make a published version the draft again, to be published as the next one; return the draft's revision.

    Raises:
        NotFound: There is no such journey, or it has no such version.
    """
    definition = load_version(connection, key, number).definition
    revision = put_draft(connection, definition, now)
    audit.note(connection, by, "restore_draft", now, journey=key, version=number)
    return revision


def check_draft(connection: Connection, definition: JourneyDefinition, now: datetime | None = None) -> list[Problem]:
    """Return everything that stands in the way of publishing, and every warning.

    Args:
        connection: A transaction.
        definition: The draft.
        now: Where what has passed by now is to be warned of.
    """
    return check(definition, StoredCatalog(connection), now)


def publish(connection: Connection, key: str, now: datetime, *, by: str = audit.ITSELF) -> Published:
    """Make the draft the next version: newcomers take it, runs inside stay on theirs.

    The start belongs to the journey: a new version does not repeat it. A draft that says what the newest version
    says, with the same messages, makes no version.

    Raises:
        NotFound: There is no such journey.
        NoDraft: It has no draft.
        IllegalTransition: The journey takes nobody in any more.
        InvalidDocument: Every problem of the draft.
    """
    row = lock_journey(connection, key, share=False)
    if row is None:
        raise NotFound("journey", key, "Put its draft first: wend journeys put FILE")
    if row.state not in PUBLISHING_STATES:
        raise IllegalTransition(key, row.state, "published", "Publish it under another key.")
    definition = read_draft(connection, key)
    problems = check_draft(connection, definition, now)
    if any(problem.severity == "error" for problem in problems):
        raise InvalidDocument(f"Journey {key!r}", problems)
    sends = _message_versions(connection, definition)
    if row.version and _is_published(connection, key, row.version, definition, sends):
        return Published(key, row.version, False, row.state, tuple(problems))
    version = row.version + 1
    connection.execute(
        sa.insert(journey_versions).values(
            journey_key=key,
            version=version,
            definition=definition.document(),
            content_hash=definition.content_hash,
            messages=sends,
            published_at=now,
        )
    )
    state = row.state if row.version else ("scheduled" if definition.entry else "live")
    connection.execute(
        sa.update(journeys)
        .where(journeys.c.key == key)
        .values(
            name=definition.name,
            state=state,
            version=version,
            first_published_at=row.first_published_at or now,
            closes_at=JourneyVersion(definition).window.closes_at,
            description=None,
            rate=None,
            updated_at=now,
        )
    )
    outbox.put(connection, "ensure_schedule", key, now)
    audit.note(connection, by, "publish", now, journey=key, version=version)
    return Published(key, version, True, state, tuple(problems))


def _message_versions(connection: Connection, definition: JourneyDefinition) -> dict[str, int]:
    """Return the newest ready version of each message that the journey sends: it sends these and no later ones."""
    keys = {step.message for step in definition.steps if isinstance(step, SendEmail | SendSms)}
    rows = connection.execute(sa.select(messages.c.key, messages.c.version).where(messages.c.key.in_(keys)))
    return {row.key: row.version for row in rows}


def _is_published(
    connection: Connection, key: str, version: int, definition: JourneyDefinition, sends: dict[str, int]
) -> bool:
    newest = connection.execute(
        sa.select(journey_versions.c.content_hash, journey_versions.c.messages).where(
            journey_versions.c.journey_key == key, journey_versions.c.version == version
        )
    ).one()
    return bool(newest.content_hash == definition.content_hash and newest.messages == sends)
