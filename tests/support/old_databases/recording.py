"""Records what this release leaves in its database: run once for each schema, in a checkout of the release that has it.

``python -m tests.support.old_databases.recording FILE``. What is open then is in every state that an upgrade may meet.
It uses of the tests' world what all releases have.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from tests.support.world import MAIL, TEXT, World
from wend.channels.port import Unknown
from wend.journeys.occurrences import Occurrence
from wend.storage import schema
from wend.storage.database import Database
from wend.storage.tables import metadata

AT = datetime(2026, 1, 15, 9, tzinfo=UTC)
"""When it was recorded, by the clock of that installation."""

OCCURRENCE = "2026-01-15T09:00"
"""Of an entry whose verdicts are given, and none of whose runs is started."""

LOOK = {
    "id": "look",
    "type": "wait_for_click",
    "sent_by": "mail",
    "link": "details",
    "within": "P3650D",
    "on_click": "text",
    "on_timeout": "exit",
}
DAY = {"id": "day", "type": "wait", "for": "P1D"}


def play(world: World) -> None:
    """Leave one person in every state: their names say in which."""
    for key, wait in (("clicks", LOOK), ("waits", DAY)):
        world.journey(MAIL, wait, TEXT, key=key)
    world.message("spare", {"channel": "sms", "text": "Hello {{ profile.name }}"})
    world.rule("adults", {"attribute": "age", "op": "gte", "value": 18})
    world.listed("club", world.people(["member", "other"], age=30))
    entry = {"segment": "club", "schedule": {"start": {"at": f"{AT:%Y-%m-%dT%H:%M:%SZ}"}}}
    world.journey(MAIL, key="clubs", entry=entry)
    world.desk.open("clubs", Occurrence(OCCURRENCE, AT), AT)

    def sent(name: str, key: str) -> UUID:
        run_id = world.enter(world.person(name, attributes={"age": 40}), key)
        world.send(run_id)
        return run_id

    done = sent("done", "waits")
    sent("overdue", "waits")
    sent("looking", "clicks")
    clicked = sent("clicked", "clicks")
    world.claimed(world.enter(world.person("claimed"), "clicks"))
    doubtful = world.enter(world.person("doubtful"), "clicks")
    world.settle(world.claimed(doubtful), Unknown("timed_out"))
    world.deliver_nothing()
    # What the relay has not delivered yet.
    world.request(world.person("pending"), "waits")
    world.click(clicked)
    world.later(timedelta(days=1))
    world.advance(done)
    world.send(done)


def record(path: Path) -> None:
    """Write a file with every row of every table."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/wend.db"
        schema.upgrade(url)
        database = Database(url)
        world = World(database)
        world.now = AT
        play(world)
        with database.read() as connection:
            tables = {
                table.name: [_row(row) for row in connection.execute(sa.select(table)).mappings()]
                for table in metadata.sorted_tables
            }
        database.close()
    path.write_text(json.dumps({"revision": schema.head(), "tables": tables}, indent=1) + "\n")


def _row(row: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items()}


def _value(value: Any) -> Any:
    match value:
        case datetime():
            return {"$at": value.isoformat()}
        case UUID():
            return {"$id": str(value)}
        case bytes():
            return {"$bytes": value.hex()}
        case _:
            return value


if __name__ == "__main__":
    record(Path(sys.argv[1]))
