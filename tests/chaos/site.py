"""One installation under attack: Temporal, a database, the sink and Wend, each a process, and what can befall them.

On SQLite Wend is one process, on PostgreSQL three. A line names the part that it means, ``worker`` say; on SQLite
that is the one process, and everything in it dies along.
"""

import os
import secrets
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from uuid import UUID

import psycopg
import sqlalchemy as sa

from tests.chaos.faultlog import FaultLog
from tests.chaos.hosting import NotReady, Ports, wait_until
from tests.chaos.life import Broken, Life, Order, Pace, Part, Strike, Wiring
from tests.chaos.outside import SinkClient, TemporalClient
from tests.chaos.proxy import Proxy, Target
from tests.chaos.talking import Talking
from tests.chaos.zygote import Forked, Zygote
from tests.support.postgres import PostgresServer
from tests.support.programs import descendants
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.messages.tokens import TokenKeys
from wend.storage import schema
from wend.storage.database import Database

__all__ = ["Life", "Site", "Strike"]

Kind = Literal["sqlite", "postgresql"]
What = Literal["api", "worker", "relay", "temporal", "database", "sink"]
Link = Literal["temporal", "provider", "database"]

LOCAL: Final = "127.0.0.1"
READY_WITHIN: Final = timedelta(seconds=120)
ENDS_WITHIN: Final = timedelta(seconds=60)
DURABLE: Final = {"synchronous_commit": "on"}
"""A server that is killed keeps what it has committed; the machine itself does not fail here, so nothing is synced."""


class Site(Talking):
    """An installation, from ``start`` to ``close``.

    Args:
        kind: Of database.
        directory: Empty; holds everything, logs too.
        zygote: Started.
        broken: Which broken build Wend is.
        pace: Of Wend's attempts at sends.
    """

    def __init__(
        self, kind: Kind, directory: Path, zygote: Zygote, broken: Broken | None = None, pace: Pace = "brisk"
    ) -> None:
        self.kind = kind
        self.directory = directory
        self.broken = broken
        self.pace: Pace = pace
        self.faults = FaultLog(directory / "faults.ndjson")
        self.parts: tuple[Part, ...] = ("wend",) if kind == "sqlite" else ("api", "worker", "relay")
        self._zygote = zygote
        self._stack = ExitStack()
        self._running: dict[Part, Forked] = {}
        self._lives: dict[Part, Life] = {}
        self._proxies: dict[str, Proxy] = {}
        self._frozen: set[What] = set()
        self._postgres: PostgresServer | None = None
        self._ports = Ports(4)
        api, temporal, smtp, sink = self._ports.numbers
        self._temporal = DevServer(
            port=temporal, ui_port=None, database=directory / "temporal.db", dynamic_config=PROMPT_TIMERS
        )
        self._keys = f"1:{secrets.token_hex(32)}"
        self._wiring = Wiring(
            database_url=f"sqlite:///{directory}/wend.db",
            port=api,
            temporal=f"{LOCAL}:{temporal}",
            smtp_port=smtp,
            sink_port=sink,
            token_keys=self._keys,
        )
        self._direct = self._wiring
        self.sink = SinkClient(f"http://{LOCAL}:{sink}")
        super().__init__(f"http://{LOCAL}:{api}")

    # -- from the first to the last -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything; three seconds."""
        with ExitStack() as stack:
            stack.callback(self._ports.close)
            stack.callback(self.http.close)
            stack.callback(self.sink.close)
            stack.callback(self._end_temporal)
            self._temporal.start()
            self.temporal = TemporalClient(self._wiring.temporal)
            stack.callback(self.temporal.close)
            if self.kind == "postgresql":
                self._postgres = PostgresServer(DURABLE)
                stack.callback(self._postgres.stop)
                self._postgres.start()
                self._direct = self._wiring = self._wiring.model_copy(update={"database_url": self._postgres.create()})
            schema.upgrade(self._direct.database_url)
            self._evidence = Database(self._direct.database_url, read_only=True, connections=4)
            stack.callback(self._evidence.close)
            stack.callback(self._drop_proxies)
            stack.callback(self._kill_all)
            self.put_right()
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End everything; its files stay."""
        self._stack.close()

    def put_right(self) -> None:
        """Have everything run as it should: nothing frozen, cut or out of step, no fault in the sink."""
        for what in tuple(self._frozen):
            self._thaw(what)
        if not self._temporal.is_running():
            self._temporal.start()
        if self._postgres and not self._postgres.is_running:
            self._postgres.go_on()
        rewired = self._wiring != self._direct
        self._wiring = self._direct
        if "sink" not in self._running or not self._running["sink"].is_running:
            self._start("sink", Life())
        self.sink.clear_faults()
        usual = self._in_full(Life())
        for part in self.parts:
            if rewired or not self.is_running(part) or self._lives[part] != usual:
                self._end(part, signal.SIGKILL)
                self._start(part, usual, wait=False)
        self._drop_proxies()
        for part in self.parts:
            self._wait_until_ready(part)

    # -- what can befall a part ---------------------------------------------------------------------------------

    def kill(self, what: What) -> None:
        """End a part without a word; it stays down until ``start``."""
        self.faults.write(f"kill {what}")
        if what == "temporal":
            os.kill(self._temporal.pid, signal.SIGKILL)
            wait_until(lambda: not self._temporal.is_running())
        elif what == "database":
            self._server().halt(killed=True)
        else:
            self._end(self._part(what), signal.SIGKILL)

    def stop(self, what: What) -> None:
        """Ask a part to end, and wait until it has; it stays down until ``start``."""
        self.faults.write(f"stop {what}")
        if what == "temporal":
            self._temporal.stop()
        elif what == "database":
            self._server().halt()
        else:
            self._end(self._part(what), signal.SIGTERM)

    def start_again(self, what: What, life: Life | None = None, *, wait: bool = True) -> None:
        """Start a part that is down, and wait until it is ready unless ``wait`` is false."""
        if what == "temporal":
            self._temporal.start()
        elif what == "database":
            self._server().go_on()
        else:
            self._start(self._part(what), self._in_full(life or Life()), wait=wait)

    def restart(self, what: What, life: Life | None = None, *, wait: bool = True) -> None:
        """Kill a part if it runs, and start it again, to live as it is told."""
        part = self._part(what)
        if self.is_running(part):
            self.kill(what)
        self.start_again(what, life, wait=wait)

    def freeze(self, what: What) -> None:
        """Stop the clock of a part: it keeps its connections and says nothing."""
        self.faults.write(f"freeze {what}")
        self._frozen.add(what)
        self._signal_all(what, signal.SIGSTOP)

    def thaw(self, what: What) -> None:
        """Let a frozen part go on."""
        self.faults.write(f"thaw {what}")
        self._thaw(what)

    def rewire(self, *links: Link, pace: Pace | None = None) -> None:
        """Lead Wend's connections over wires that can be cut; its processes are started anew, at this pace if any."""
        targets: dict[str, Target] = {"temporal": (LOCAL, int(self._direct.temporal.rpartition(":")[2]))}
        targets |= {"smtp": (LOCAL, self._direct.smtp_port), "sms": (LOCAL, self._direct.sink_port)}
        if self._postgres:
            targets["database"] = self._postgres.socket
        for name in {name for link in links for name in _wires(link)} - set(self._proxies):
            self._proxies[name] = Proxy(targets[name])
        changed: dict[str, str | int] = {}
        for name, proxy in self._proxies.items():
            match name:
                case "temporal":
                    changed["temporal"] = f"{LOCAL}:{proxy.port}"
                case "database":
                    name = self._direct.database_url.removeprefix("postgresql+psycopg://wend@/").partition("?")[0]
                    changed["database_url"] = f"postgresql+psycopg://wend@{LOCAL}:{proxy.port}/{name}"
                case "smtp":
                    changed["smtp_port"] = proxy.port
                case _:
                    changed["sink_port"] = proxy.port
        self._wiring = self._direct.model_copy(update=changed)
        for part in self.parts:
            self._end(part, signal.SIGKILL)
            self._start(part, self._in_full(self._lives[part].model_copy(update={"pace": pace})), wait=False)
        for part in self.parts:
            self._wait_until_ready(part)

    def cut(self, link: Link) -> None:
        """Cut a wire: every connection over it ends, and none comes about until it is mended."""
        self.faults.write(f"cut {link}")
        for name in _wires(link):
            self._proxies[name].cut()

    def mend(self, link: Link) -> None:
        """Mend a wire."""
        self.faults.write(f"mend {link}")
        for name in _wires(link):
            self._proxies[name].mend()

    @contextmanager
    def locked_database(self) -> Iterator[None]:
        """Hold the database inside the block, so that nobody else writes runs."""
        self.faults.write("lock database")
        if self.kind == "sqlite":
            file = sqlite3.connect(self.directory / "wend.db", isolation_level=None, timeout=30)
            try:
                file.execute("BEGIN IMMEDIATE")
                yield
                file.execute("ROLLBACK")
            finally:
                file.close()
            return
        url = self._direct.database_url.replace("+psycopg", "")
        with psycopg.connect(url) as connection, connection.transaction(force_rollback=True):
            connection.execute("LOCK TABLE runs")
            yield

    @contextmanager
    def one_more(self, *parts: Literal["worker", "relay"], pace: Pace | None = None) -> Iterator[None]:
        """Have second processes of these kinds beside the usual ones inside the block; PostgreSQL alone bears them."""
        if self.kind == "sqlite":
            raise LookupError("An SQLite file has one process")
        life = self._in_full(Life(pace=pace))
        children = [self._zygote.fork(self._order(part, life, f"{part}-2")) for part in parts]
        try:
            yield
        finally:
            for child in children:
                child.signal(signal.SIGKILL)
                child.wait(timedelta(seconds=60))

    # -- what can be known --------------------------------------------------------------------------------------

    def is_running(self, part: Part) -> bool:
        """Return whether a Wend process lives."""
        return part in self._running and self._running[part].is_running

    @property
    def temporal_address(self) -> str:
        """Where its Temporal is, ``host:port``; no wire that can be cut lies between."""
        return self._direct.temporal

    def identities(self) -> set[str]:
        """Return the names under which Temporal knows the usual processes that live."""
        return {f"{each.pid}@{socket.gethostname()}" for each in self._running.values() if each.is_running}

    def died(self, what: What, within: timedelta) -> bool:
        """Wait until a part has died of its strike; returns whether it has."""
        return self._running[self._part(what)].wait(within)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that reads, from outside, whatever is dead."""
        with self._evidence.read() as connection:
            yield connection

    def token(self, message_id: UUID | str, number: int = 1) -> str:
        """Return the click token of a message's link."""
        return TokenKeys.parse(self._keys).sign(UUID(str(message_id)), number)

    def another_database(self) -> str:
        """Make an empty, migrated database beside Wend's, for what runs in the ring itself; return its address."""
        if self._postgres:
            return self._postgres.create_from("wend_migrated", schema.upgrade)
        url = f"sqlite:///{self.directory}/other-{secrets.token_hex(4)}.db"
        schema.upgrade(url)
        return url

    def empty_database(self) -> str:
        """Make a database without tables beside Wend's; return its address."""
        if self._postgres:
            return self._postgres.create()
        return f"sqlite:///{self.directory}/empty-{secrets.token_hex(4)}.db"

    def is_ready(self) -> bool:
        """Return whether the API serves."""
        with suppress(Exception):
            return self.http.get("/readyz", timeout=2).is_success
        return False

    # -- how it is done -----------------------------------------------------------------------------------------

    def _part(self, what: What | Part) -> Part:
        if what == "sink":
            return "sink"
        if what not in ("api", "worker", "relay", "wend"):
            raise LookupError(f"{what!r} is no process of Wend")
        return "wend" if self.kind == "sqlite" else what

    def _in_full(self, life: Life) -> Life:
        """Return a life with what it takes from the ring."""
        return life.model_copy(update={"broken": life.broken or self.broken, "pace": life.pace or self.pace})

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def _server(self) -> PostgresServer:
        if self._postgres is None:
            raise LookupError("An SQLite file is no process: lock it, or kill who has it")
        return self._postgres

    def _start(self, part: Part, life: Life, *, wait: bool = True) -> None:
        if self.is_running(part):
            raise LookupError(f"{part} runs already")
        self._running[part] = self._zygote.fork(self._order(part, life, part))
        self._lives[part] = life
        if wait:
            self._wait_until_ready(part)

    def _order(self, part: Part, life: Life, name: str) -> Order:
        return Order(
            part=part,
            wiring=self._direct if part == "sink" else self._wiring,
            life=life,
            log=self._log(name),
            faults=self.faults.path,
            sink_file=self.directory / "sink.db",
        )

    def _wait_until_ready(self, part: Part) -> None:
        """Return when the part answers, or has died."""
        ready: Callable[[], bool] = {"sink": self.sink.answers, "wend": self.is_ready, "api": self.is_ready}.get(
            part, lambda: True
        )
        child, strikes = self._running[part], self._lives[part].strike is not None
        deadline = time.monotonic() + READY_WITHIN.total_seconds()
        while not ready():
            if not child.is_running:
                if strikes:
                    return
                raise NotReady(f"{part} ended at once ({child.status})", self._log(part))
            if time.monotonic() > deadline:
                raise NotReady(f"{part} does not answer", self._log(part))
            time.sleep(0.02)

    def _end(self, part: Part, how: signal.Signals) -> None:
        if not self.is_running(part):
            return
        self._running[part].signal(how)
        if not self._running[part].wait(ENDS_WITHIN):
            self._running[part].signal(signal.SIGKILL)
            self._running[part].wait(ENDS_WITHIN)
            raise NotReady(f"{part} did not end within {ENDS_WITHIN.seconds} seconds", self._log(part))

    def _end_temporal(self) -> None:
        if self._temporal.is_running():
            os.kill(self._temporal.pid, signal.SIGKILL)  # nobody needs it to end in good order
        self._temporal.stop()

    def _kill_all(self) -> None:
        for what in tuple(self._frozen):
            self._thaw(what)
        for part in (*self.parts, "sink"):
            self._end(part, signal.SIGKILL)

    def _thaw(self, what: What) -> None:
        self._frozen.discard(what)
        self._signal_all(what, signal.SIGCONT)

    def _signal_all(self, what: What, number: signal.Signals) -> None:
        if what in ("temporal", "database"):
            pid = self._temporal.pid if what == "temporal" else self._server().pid
            for each in (pid, *descendants(pid)):
                with suppress(ProcessLookupError):
                    os.kill(each, number)
        elif self.is_running(self._part(what)):
            self._running[self._part(what)].signal(number)

    def _drop_proxies(self) -> None:
        for proxy in self._proxies.values():
            proxy.close()
        self._proxies.clear()


def _wires(link: Link) -> tuple[str, ...]:
    return ("smtp", "sms") if link == "provider" else (link,)
