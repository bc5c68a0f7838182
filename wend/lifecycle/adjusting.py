"""Light changes to a published journey: its name and description, its rate, the content of what was not sent yet.

Published versions do not change by it: what was changed stands beside them, in the journey's row.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.errors import InvalidDocument, Problem
from wend.journeys.definition import JourneyVersion
from wend.journeys.problems import did_you_mean
from wend.journeys.steps import WaitForClick
from wend.journeys.steps.send import SendStep
from wend.lifecycle import audit
from wend.lifecycle.publishing import IllegalTransition
from wend.lifecycle.versions import load_version
from wend.storage.database import hold_journey
from wend.storage.tables import journey_versions, journeys, message_versions

ADJUSTING_STATES = frozenset({"scheduled", "live", "paused", "closed"})


def adjust(
    connection: Connection,
    key: str,
    now: datetime,
    *,
    name: str | None = None,
    description: str | None = None,
    rate: int | None = None,
    by: str = audit.ITSELF,
) -> None:
    """Change what a journey is called, or how many profiles start per second; what is ``None`` stays.

    Publishing a version puts that version's own in their place.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It was never published, or is over.
    """
    _lock(connection, key)
    given = {"name": name, "description": description, "rate": rate}
    changed = {field: value for field, value in given.items() if value is not None}
    if changed:
        connection.execute(sa.update(journeys).where(journeys.c.key == key).values(**changed, updated_at=now))
        audit.note(connection, by, "adjust", now, journey=key, detail={"changed": sorted(changed), "rate": rate})


def choose_message(
    connection: Connection, key: str, message: str, number: int, now: datetime, *, by: str = audit.ITSELF
) -> int:
    """Have the published versions send another version of a message, from the next send on; return how many do.

    What was sent stays as it was, and so do the links in it. A journey version that is published later sends what was
    ready at its publication.

    Raises:
        NotFound: There is no such journey.
        IllegalTransition: It was never published, or is over.
        InvalidDocument: The message has no such version, no version of the journey sends it, or a link is gone that a
            wait listens to; every problem at once.
    """
    row = _lock(connection, key)
    numbers = connection.scalars(
        sa.select(journey_versions.c.version).where(journey_versions.c.journey_key == key)
    ).all()
    versions = [load_version(connection, key, each) for each in numbers]
    sending = [version for version in versions if message in (version.messages or {})]
    problems = _problems(connection, sending, message, number)
    if problems:
        raise InvalidDocument(f"The choice of message {message!r} for journey {key!r}", problems)
    choices = dict(row.message_choices or {}) | {message: [number, row.version]}
    connection.execute(sa.update(journeys).where(journeys.c.key == key).values(message_choices=choices, updated_at=now))
    told = {"message": message, "message_version": number}
    audit.note(connection, by, "adjust", now, journey=key, version=row.version, detail=told)
    return len(sending)


def message_version(journey: sa.Row[Any], version: JourneyVersion, message: str) -> int:
    """Return which version of a message a run on this version of the journey is sent now."""
    assert version.messages is not None
    chosen = (journey.message_choices or {}).get(message)
    if chosen is not None:
        number, up_to = chosen
        if version.number <= up_to:
            return int(number)
    return version.messages[message]


def _problems(connection: Connection, sending: list[JourneyVersion], message: str, number: int) -> list[Problem]:
    if not sending:
        return [Problem("message", f"no published version of the journey sends {message!r}")]
    links = connection.scalar(
        sa.select(message_versions.c.links).where(
            message_versions.c.message_key == message, message_versions.c.version == number
        )
    )
    if links is None:
        remedy = f"the versions that there are: wend messages versions {message}"
        return [Problem("version", f"{message!r} has no version {number}; {remedy}")]
    problems = []
    for version in sending:
        for step in version.definition.steps:
            if not isinstance(step, WaitForClick):
                continue
            sender = version.steps.get(step.sent_by)
            if not isinstance(sender, SendStep) or sender.message != message:
                continue
            where = f"version {version.number}, steps.{step.id}.link"
            if step.link is not None and step.link not in links:
                hint = did_you_mean(step.link, links)
                problems.append(Problem(where, f"version {number} of {message!r} has no link {step.link!r}{hint}"))
            elif not links:
                problems.append(Problem(where, f"version {number} of {message!r} has no tracked link"))
    return problems


def _lock(connection: Connection, key: str) -> sa.Row[Any]:
    row = hold_journey(connection, key)
    if row.state not in ADJUSTING_STATES:
        raise IllegalTransition(key, row.state, "changed", "Change its draft and publish it.")
    return row
