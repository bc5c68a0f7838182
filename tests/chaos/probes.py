"""Probes around the places where dying hurts. At the arrival that its plan names, a process kills itself there.

The strike is written into the log of faults first: which run and message it met, and the runs whose sends were
under way in the process. So it can be asked afterwards, of every send that nobody knows the outcome of, whose death
left it so.
"""

import os
import signal
import threading
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from tests.chaos.faultlog import FaultLog
from tests.chaos.life import Strike
from tests.chaos.wrapping import lay_around
from wend.channels.port import Accepted
from wend.runs.ledger import Claim

SEND_POINTS: Final = (
    "send.before_claim",
    "send.after_claim",
    "send.during_call",
    "send.after_accept",
    "send.before_settle",
    "send.after_settle",
)
FANOUT_POINTS: Final = (
    "entry.before_open",
    "entry.after_open",
    "fanout.after_claim",
    "fanout.between_starts",
    "fanout.before_mark",
    "fanout.after_mark",
    "entry.before_finish",
)
RELAY_POINTS: Final = ("relay.before_signal", "relay.between_signal_and_mark", "relay.after_mark")
OTHER_POINTS: Final = (
    "click.before_store",
    "click.after_store",
    "advance.before",
    "advance.after",
    "provider_events.before_commit",
)
POINTS: Final = (*SEND_POINTS, *FANOUT_POINTS, *RELAY_POINTS, *OTHER_POINTS)

_sending: ContextVar[dict[str, str]] = ContextVar("_sending")


class Probes:
    """The probes of one process.

    Args:
        strike: Where it kills itself.
        log: Where that is written.
    """

    def __init__(self, strike: Strike | None, log: FaultLog) -> None:
        if strike is not None and strike.point not in POINTS:
            raise LookupError(f"There is no probe {strike.point!r}; there are {', '.join(POINTS)}")
        self._strike = strike
        self._log = log
        self._arrivals = 0
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def begin(self, run_id: UUID) -> None:
        """Take note that a run's send is under way."""
        with self._lock:
            self._under_way.add(str(run_id))

    def end(self, run_id: UUID) -> None:
        """Take note that it is over, whatever came of it."""
        with self._lock:
            self._under_way.discard(str(run_id))

    def reached(self, point: str, **detail: str) -> None:
        """Say that a probe is reached; does not return from the arrival that was planned."""
        if self._strike is None or point != self._strike.point:
            return
        with self._lock:
            self._arrivals += 1
            if self._arrivals != self._strike.arrival:
                return
            detail["strike"] = str(self._strike)
            self._log.write(point, **detail, under_way=sorted(self._under_way), pid=os.getpid())
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()


def lay(probes: Probes, batch: int | None = None) -> None:
    """Lay the probes around the product's own methods, in this process.

    Args:
        batch: Runs that a fan-out claims at once, if not as many as the product does.
    """
    _around_sends(probes)
    _around_channels(probes)
    _around_fan_outs(probes, batch)
    _around_the_relay(probes)
    _around_clicks_and_advances(probes)


def _around_sends(probes: Probes) -> None:
    from wend.runs.ledger import Ledger

    def claim(original: Any, self: Ledger, run_id: UUID, *args: Any) -> Any:
        probes.begin(run_id)
        probes.reached("send.before_claim", run=str(run_id))
        answer = original(self, run_id, *args)
        if isinstance(answer, Claim):
            probes.reached("send.after_claim", run=str(run_id), message=str(answer.message.message_id))
        else:
            probes.end(run_id)
        return answer

    def settle(original: Any, self: Ledger, claim: Claim, *args: Any) -> Any:
        told = {"run": str(claim.run_id), "message": str(claim.message.message_id)}
        probes.reached("send.before_settle", **told)
        answer = original(self, claim, *args)
        probes.end(claim.run_id)
        probes.reached("send.after_settle", **told)
        return answer

    def release(original: Any, self: Ledger, claim: Claim, *args: Any) -> Any:
        original(self, claim, *args)
        probes.end(claim.run_id)

    lay_around(Ledger, "claim", claim)
    lay_around(Ledger, "settle", settle)
    lay_around(Ledger, "release", release)


def _around_channels(probes: Probes) -> None:
    from wend.channels import http_sms, smtp

    async def send(original: Any, self: Any, message: Any, **options: Any) -> Any:
        _sending.set({"message": str(message.message_id)})
        outcome = await original(self, message, **options)
        if isinstance(outcome, Accepted):
            probes.reached("send.after_accept", message=str(message.message_id))
        return outcome

    async def write_content(original: Any, *args: Any) -> Any:
        probes.reached("send.during_call", **_sending.get())  # the server waits for the content, and gets none of it
        return await original(*args)

    async def trace(original: Any, self: Any, event: str, info: Any) -> None:
        await original(self, event, info)
        if event.endswith("send_request_body.started"):  # the headers are on their way, the body is not
            probes.reached("send.during_call", **_sending.get())

    lay_around(smtp.SmtpEmailChannel, "send", send)
    lay_around(http_sms.HttpSmsChannel, "send", send)
    lay_around(smtp, "_write_content", write_content)
    lay_around(http_sms._Trace, "__call__", trace)


class _ProbedStarter:
    """A fan-out's starter with probes around it; the relay's has none."""

    def __init__(self, starter: Any, probes: Probes, batch: int | None) -> None:
        self._starter = starter
        self._probes = probes
        self._options = {} if batch is None else {"limit": batch}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._starter, name)

    def claim(self, entry_id: UUID, *args: Any) -> Any:
        orders = self._starter.claim(entry_id, *args, **self._options)
        if orders:
            self._probes.reached("fanout.after_claim", entry=str(entry_id))
        return orders

    def mark_started(self, started: Any, *args: Any) -> None:
        self._probes.reached("fanout.before_mark", run=str(started[0]))
        self._starter.mark_started(started, *args)
        self._probes.reached("fanout.after_mark", run=str(started[0]))


def _around_fan_outs(probes: Probes, batch: int | None) -> None:
    from activities import fanout
    from wend.entries.opening import EntryDesk

    def init(original: Any, self: Any, client: Any, starter: Any, *args: Any, **options: Any) -> None:
        original(self, client, _ProbedStarter(starter, probes, batch), *args, **options)

    async def launch(original: Any, client: Any, order: Any, *args: Any, **options: Any) -> Any:
        probes.reached("fanout.between_starts", run=str(order.run_id))
        return await original(client, order, *args, **options)

    def open_(original: Any, self: Any, journey: str, *args: Any) -> Any:
        probes.reached("entry.before_open", journey=journey)
        opened = original(self, journey, *args)
        probes.reached("entry.after_open", journey=journey)
        return opened

    def finish(original: Any, self: Any, entry_id: UUID, *args: Any) -> Any:
        probes.reached("entry.before_finish", entry=str(entry_id))
        return original(self, entry_id, *args)

    lay_around(fanout.FanOutActivities, "__init__", init)
    lay_around(fanout, "launch", launch)
    lay_around(EntryDesk, "open", open_)
    lay_around(EntryDesk, "finish", finish)


def _around_the_relay(probes: Probes) -> None:
    from temporalio.client import WorkflowHandle

    from wend import outbox
    from wend.relay.loop import Relay

    async def signal_(original: Any, self: Any, *args: Any, **options: Any) -> None:
        probes.reached("relay.before_signal", workflow=self.id)
        await original(self, *args, **options)

    def mark_done(original: Any, connection: Any, ids: Any, now: Any) -> None:
        if ids:
            probes.reached("relay.between_signal_and_mark", parcels=str(len(ids)))
        original(connection, ids, now)

    def mark(original: Any, self: Any, results: Any) -> None:
        original(self, results)
        probes.reached("relay.after_mark", parcels=str(len(results)))

    lay_around(WorkflowHandle, "signal", signal_)
    lay_around(outbox, "mark_done", mark_done)
    lay_around(Relay, "_mark", mark)


def _around_clicks_and_advances(probes: Probes) -> None:
    from api.sends import routes
    from wend.events.recording import EventLog
    from wend.runs.advancing import Advancer

    def record_click(original: Any, self: Any, message_id: UUID, *args: Any) -> Any:
        probes.reached("click.before_store", message=str(message_id))
        recorded = original(self, message_id, *args)
        probes.reached("click.after_store", message=str(message_id))
        return recorded

    def advance(original: Any, self: Any, run_id: UUID, *args: Any) -> Any:
        probes.reached("advance.before", run=str(run_id))
        answer = original(self, run_id, *args)
        probes.reached("advance.after", run=str(run_id))
        return answer

    def record_provider_events(original: Any, *args: Any) -> Any:
        received = original(*args)
        probes.reached("provider_events.before_commit", events=str(len(received)))
        return received

    lay_around(EventLog, "record_click", record_click)
    lay_around(Advancer, "advance", advance)
    lay_around(routes, "record_provider_events", record_provider_events)
