"""Builds with a bug in them, which the ring has to see. Only a process of the ring can be one of them."""

from typing import Any, Final
from uuid import UUID

import sqlalchemy as sa

from tests.chaos.life import Broken
from tests.chaos.wrapping import lay_around
from wend.storage.tables import sent_messages

FAILING: Final[dict[Broken, frozenset[str]]] = {
    "claim-removed": frozenset({"sends"}),
    "cursor-not-saved": frozenset({"fanout"}),
    "outbox-not-written": frozenset({"duplicates", "clicks"}),
}
"""The lines that have to fail on each build; all others have to hold."""


def build(broken: Broken | None) -> None:
    """Turn this process into the broken build."""
    match broken:
        case "claim-removed":
            _remove_the_claim()
        case "cursor-not-saved":
            _lose_the_cursor()
        case "outbox-not-written":
            _leave_the_outbox_empty()
        case None:
            pass


def _remove_the_claim() -> None:
    """A send goes to the provider whether or not an attempt before it may have handed it over."""
    from wend.runs.ledger import Ledger

    def claim(original: Any, self: Any, run_id: UUID, *args: Any) -> Any:
        theirs = (sent_messages.c.run_id == run_id, sent_messages.c.state == "claimed")
        with self._database.write() as connection:
            connection.execute(sa.update(sent_messages).where(*theirs).values(state="released"))
        return original(self, run_id, *args)

    lay_around(Ledger, "claim", claim)


class _ForgetfulStarter:
    """A fan-out's starter that does not save which runs still lack their workflow: what it has read counts as done."""

    def __init__(self, starter: Any) -> None:
        self._starter = starter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._starter, name)

    def claim(self, entry_id: UUID, now: Any, *args: Any, **options: Any) -> Any:
        orders = self._starter.claim(entry_id, now, *args, **options)
        if orders:
            self._starter.mark_started([order.run_id for order in orders], now)
        return orders

    def mark_started(self, *_: Any) -> None:
        """Write nothing: it was written too early."""


def _lose_the_cursor() -> None:
    from activities.fanout import FanOutActivities

    def init(original: Any, self: Any, client: Any, starter: Any, *args: Any, **options: Any) -> None:
        original(self, client, _ForgetfulStarter(starter), *args, **options)

    # Inside the probes, which are laid later: what is claimed is lost at every one of them.
    lay_around(FanOutActivities, "__init__", init)


def _leave_the_outbox_empty() -> None:
    """Starts and wakes are committed, and Temporal is never told."""
    from wend import outbox

    def put_all(original: Any, connection: Any, kind: str, *args: Any) -> None:
        if kind not in ("start_run", "wake_run"):
            original(connection, kind, *args)

    lay_around(outbox, "put_all", put_all)
