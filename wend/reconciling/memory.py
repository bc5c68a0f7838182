"""Temporal's workflows as a reconciliation sees them, in memory: what there is, is put there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from wend.entries.opening import OpenedEntry
from wend.reconciling.port import EntryUnderWay, Found, Missing, Open, Passage
from wend.runs.starting import StartOrder


@dataclass
class MemoryWorkflows:
    """Workflows that are what is written here.

    Attributes:
        runs: Of runs, by journey and passage.
        listed: What the list of open workflows says instead of what they are: it may be behind.
        entries: Open ones of entries, by journey.
        started: Runs that were started, in their order.
        gone_on: Entries that were gone on with.
        meanwhile: Called with each passage that is looked at, before the answer: what may come in between.
    """

    runs: dict[tuple[str, Passage], Found] = field(default_factory=dict)
    listed: set[tuple[str, Passage]] | None = None
    entries: dict[str, list[EntryUnderWay]] = field(default_factory=dict)
    started: list[StartOrder] = field(default_factory=list)
    gone_on: list[UUID] = field(default_factory=list)
    meanwhile: Callable[[Passage], None] | None = None

    async def open_runs(self, journey: str, after: UUID | None, upto: UUID | None) -> set[Passage]:
        if self.listed is not None:
            known = self.listed
        else:
            known = {key for key, found in self.runs.items() if isinstance(found, Open)}
        return {
            passage
            for of, passage in known
            if of == journey and (after is None or passage[0] > after) and (upto is None or passage[0] <= upto)
        }

    async def look(self, journey: str, passage: Passage) -> Found:
        if self.meanwhile is not None:
            self.meanwhile(passage)
        return self.runs.get((journey, passage), Missing())

    async def open_entries(self, journey: str) -> list[EntryUnderWay]:
        return list(self.entries.get(journey, ()))

    async def start_run(self, order: StartOrder) -> None:
        self.started.append(order)
        self.runs.setdefault((order.journey, (order.profile_id, order.entry_number)), Open())

    async def go_on(self, entry: OpenedEntry, due_at: datetime) -> None:
        self.gone_on.append(entry.id)
        self.entries.setdefault(entry.journey, []).append(EntryUnderWay(f"entry/{entry.journey}", entry.id))
