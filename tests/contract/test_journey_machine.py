"""A journey at random: published, paused, moved, closed, stopped, clicked in and waited in, beside a model of it.

Workflows are played as they are: they know their last answer, and go on by a bell from the outbox or by its timer. So
whoever is not told of something stays where they are, and at the end, when all are let go, that is found.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.contract.journey_model import HOUR, LEGAL, OVER, SENDING, Model, Passage, Person, Shape
from tests.support.world import T0, World
from wend.channels.port import Accepted, NotAccepted, Outcome, Refused, Unknown
from wend.documents import parse_definition
from wend.journeys.occurrences import Occurrence
from wend.journeys.results import Finish, Park, Plan, Send
from wend.journeys.walltime import FOREVER
from wend.lifecycle.adjusting import adjust, choose_message
from wend.lifecycle.ending import close, close_due, finish_emptied, stop
from wend.lifecycle.moving import Moving, NothingToMove, move
from wend.lifecycle.pausing import Pause, pause, resume, resume_due, resume_later
from wend.lifecycle.publishing import IllegalTransition, publish, put_draft
from wend.lifecycle.taking_out import RunHasEnded, take_out_profile, take_out_run
from wend.runs.decide import Answer
from wend.runs.ledger import Claim
from wend.runs.requesting import StillInside
from wend.storage.database import Database
from wend.storage.tables import audit, journeys, outbox, runs, sent_messages

ORDERS = (
    ("mail", "look", "day", "text"),
    ("day", "mail", "look", "text"),
    ("greeting", "look", "rest", "text"),
    ("mail", "day", "look", "text"),
)
SAME = {"mail": "greeting", "greeting": "mail", "day": "rest", "rest": "day"}
A_DAY = timedelta(days=1)
OUTCOMES: dict[str, Outcome] = {
    "accepted": Accepted("reference"),
    "refused": Refused("no", "550"),
    "busy": NotAccepted("busy", "421"),
    "unknown": Unknown("lost", "after the data"),
}
shapes = st.builds(
    Shape,
    st.sampled_from(ORDERS),
    st.sampled_from([1, 30]),
    st.sampled_from([1, 5, 50]),
    st.booleans(),
    st.sampled_from([None, None, None, 100]),
)
which = st.integers(0, 11)
fates = st.sampled_from(["accepted"] * 5 + ["refused", "busy", "unknown", "dies", "dies with it", "slow"])
seldom = st.integers(0, 5).map(lambda drawn: drawn == 5)
_numbers = count(1)


@dataclass
class Workflow:
    """What a run's workflow knows: its last answer, and that a bell has rung."""

    sequence: int = 0
    plan: Plan | None = None
    rung: bool = True

    def take(self, answer: Answer) -> None:
        """Hold an answer, unless a later one is held."""
        if self.plan is None or answer.sequence >= self.sequence:
            self.sequence, self.plan = answer.sequence, answer.plan


class JourneyMachine(RuleBasedStateMachine):
    """One journey with three people; time stands still but for ``later``."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self._begin()

    def _begin(self) -> None:
        self.number = next(_numbers)
        self.key, self.club = f"trip-{self.number}", f"club-{self.number}"
        self.model = Model()
        self.workflows: dict[UUID, Workflow] = {}
        self.slow: list[tuple[Passage, Claim]] = []
        self.provided: Counter[UUID] = Counter()
        self.entries: list[UUID] = []
        self.world.now = T0
        self.people = [Person(self.world.person(f"{name}-{self.number}")) for name in ("ada", "ben", "cleo")]
        self.world.listed(self.club, [person.id for person in self.people])

    @initialize(shape=shapes)
    def first(self, shape: Shape) -> None:
        self.publish(shape)
        for place in range(3):
            self.start(place)
        self.go_on("accepted", 0)

    @rule(shape=shapes)
    @precondition(lambda self: self.model.state in OVER)
    def next(self, shape: Shape) -> None:
        """Nothing much happens any more: another journey begins."""
        self.teardown()
        self._begin()
        self.first(shape)

    # -- what is asked of the journey --------------------------------------------------------------------------

    def ask(self, action: str, call: Callable[[sa.Connection], object], noted: str | None = None) -> bool:
        """Ask for an action, which is taken exactly where its state allows it; return whether it was."""
        with self.world.database.write() as connection:
            if self.model.state not in LEGAL[action]:
                with pytest.raises(IllegalTransition):
                    call(connection)
                return False
            call(connection)
        self.model.audit.append(noted or action)
        return True

    @rule(shape=shapes)
    def publish(self, shape: Shape) -> None:
        model, definition = self.model, parse_definition(shape.document(self.key, self.club))

        def call(connection: sa.Connection) -> None:
            put_draft(connection, definition, self.world.now)
            publish(connection, self.key, self.world.now)

        if model.shapes and shape == model.shapes[-1]:
            return  # it would make no version
        if self.ask("publish", call):
            model.shapes.append(shape)
            model.state = "scheduled" if model.state == "draft" else model.state

    @rule(
        entries=st.sampled_from(["drop", "queue"]),
        waits=st.sampled_from(["run", "freeze"]),
        hours=st.sampled_from([None, None, 3]),
        busy=st.booleans(),
        after=st.integers(0, 2),
    )
    def pause(
        self,
        entries: Literal["drop", "queue"],
        waits: Literal["run", "freeze"],
        hours: int | None,
        busy: bool,
        after: int,
    ) -> None:
        self.later(after)
        model, now = self.model, self.world.now
        resume_at = now + hours * HOUR if hours else None
        chosen = Pause(entries, waits)
        if self.ask("pause", lambda connection: pause(connection, self.key, chosen, now, resume_at=resume_at)):
            model.pause, model.state, model.resume_at = {"entries": entries, "state": model.state}, "paused", resume_at
            if waits == "freeze":
                model.freezes.append((now, None))
            if busy:  # those who send at this moment meet the pause, and others their timers
                self.go_on("accepted", 24)

    @rule()
    def resume(self) -> None:
        if self.ask("resume", lambda connection: resume(connection, self.key, self.world.now)):
            self._goes_on()

    def _goes_on(self) -> None:
        model, now = self.model, self.world.now
        model.state, model.resume_at = model.pause["state"], None
        model.freezes = [(begin, now if end is None else end) for begin, end in model.freezes]

    def resume_later(self, hours: int) -> None:
        at = self.world.now + hours * HOUR
        if self.ask("resume_later", lambda connection: resume_later(connection, self.key, at, self.world.now), "pause"):
            self.model.resume_at = at

    def close(self, sure: bool) -> None:
        if not sure and self.model.state in LEGAL["close"]:
            return
        if self.ask("close", lambda connection: close(connection, self.key, self.world.now)):
            self.model.state = "closed" if any(run.inside for run in self.model.runs) else "finished"

    def stop(self, sure: bool) -> None:
        if not sure and self.model.state in LEGAL["stop"]:
            return
        if self.ask("stop", lambda connection: stop(connection, self.key, self.world.now)):
            self.model.state = "stopped"
            for run in self.model.runs:
                if run.inside:
                    run.end_from_outside("stopped", "stopped")

    @rule(shape=shapes, everything=st.booleans())
    def publish_and_move(self, shape: Shape, everything: bool) -> None:
        """Move all to a new version, and have those go on who are told of it."""
        self.publish(shape)
        self.move(len(self.model.shapes) - 1, everything)
        self.go_on("accepted", 0)

    @rule(to=which, everything=st.booleans())
    def move(self, to: int, everything: bool) -> None:
        """Move all who can be; where their step has another name there, it is said which."""
        model = self.model
        to = to % len(model.shapes) + 1
        order = model.shapes[to - 1].order
        moving = model.movable(to)
        standing = {run.step for run in moving}
        steps = {
            old: new
            for old, new in SAME.items()
            if new in order and old not in order and (everything or old in standing)
        }
        asked = Moving(to, steps=steps)
        if not moving and model.state in LEGAL["move"]:
            with self.world.database.write() as connection, pytest.raises(NothingToMove):
                move(connection, self.key, asked, self.world.now)
        elif self.ask("move", lambda connection: move(connection, self.key, asked, self.world.now)):
            model.move(moving, to, steps)

    def adjust(self, rate: int) -> None:
        self.ask("adjust", lambda connection: adjust(connection, self.key, self.world.now, rate=rate))

    def choose(self) -> None:
        self.ask(
            "choose", lambda connection: choose_message(connection, self.key, "hello", 1, self.world.now), "adjust"
        )

    @rule(place=which, whole=st.booleans(), sure=seldom)
    @precondition(lambda self: self.model.runs)
    def take_out(self, place: int, whole: bool, sure: bool) -> None:
        if not sure:
            return
        run, now = self.model.runs[place % len(self.model.runs)], self.world.now
        with self.world.database.write() as connection:
            if whole:
                taken = take_out_profile(connection, run.person.id, now, journey=self.key)
                assert set(taken.runs) == {each.id for each in self._theirs(run.person)}
            elif run.inside:
                take_out_run(connection, run.id, now)
            else:
                with pytest.raises(RunHasEnded):
                    take_out_run(connection, run.id, now)
                return
        self.model.audit.append("exit")
        for each in self._theirs(run.person):
            each.end_from_outside("exited", "taken_out")

    @rule()
    def sweep(self) -> None:
        """What is looked for every ten seconds."""
        model, now = self.model, self.world.now
        with self.world.database.write() as connection:
            close_due(connection, now)
            resume_due(connection, now)
            finish_emptied(connection, now)
        if model.state == "paused" and model.resume_at is not None and model.resume_at <= now:
            self._goes_on()
            model.audit.append("resume")
        if model.state == "closed" and not any(run.inside for run in model.runs):
            model.state = "finished"
            model.audit.append("finish")

    @rule(what=st.sampled_from(["resume_later", "adjust", "choose", "close", "stop"]), sure=seldom)
    def ask_for_something_else(self, what: str, sure: bool) -> None:
        match what:
            case "resume_later":
                self.resume_later(5)
            case "adjust":
                self.adjust(100)
            case "choose":
                self.choose()
            case "close":
                self.close(sure)
            case "stop":
                self.stop(sure)

    # -- who comes in ------------------------------------------------------------------------------------------

    def _theirs(self, person: Person) -> list[Passage]:
        return [run for run in self.model.runs if run.person is person and run.inside]

    @rule(place=which)
    def start(self, place: int) -> None:
        model, person = self.model, self.people[place % 3]
        queued = model.state == "paused" and model.pause["entries"] == "queue"
        if model.state not in ("scheduled", "live") and not queued:
            with pytest.raises(IllegalTransition):
                self.world.request(person.id, self.key)
        elif self._theirs(person):
            with pytest.raises(StillInside):
                self.world.request(person.id, self.key)
        else:
            run_id = self.world.request(person.id, self.key)
            model.runs.append(Passage(run_id, person, len(model.shapes)))

    @rule()
    def occur(self) -> None:
        """The occurrence of the day is fired, once more if it was fired before."""
        model, world = self.model, self.world
        at = T0 + (world.now - T0) // A_DAY * A_DAY
        key = f"{at:%Y-%m-%dT%H:%M}"
        entry = world.desk.open(self.key, Occurrence(key, at), world.now)
        if key in model.entries:
            assert entry is not None
            return
        if model.state not in ("scheduled", "live", "paused"):
            assert entry is None
            return
        assert entry is not None
        if model.state == "paused" and model.pause["entries"] == "drop":
            assert entry.state == model.entries.setdefault(key, "skipped")
            return
        model.entries[key] = "open"
        self.entries.append(entry.id)
        if model.state == "paused":
            model.pause["state"] = "live"
        else:
            model.state = "live"
        entering = {person.id: person for person in self.people if not self._theirs(person)}
        rows = world.rows(runs, runs.c.entry_id == entry.id)
        assert {row.profile_id for row in rows} == set(entering)
        model.runs += [Passage(row.id, entering[row.profile_id], len(model.shapes)) for row in rows]

    @rule()
    def fan_out(self) -> None:
        """The entries' fan-outs start whom they may."""
        for entry_id in self.entries:
            for order in self.world.starter.claim(entry_id, self.world.now):
                assert order.answer is not None
                self._launch(order.run_id, order.answer)
            if self.world.starter.held(entry_id, self.world.now) is None:
                self.world.desk.finish(entry_id, self.world.now)

    def _launch(self, run_id: UUID, answer: Answer | None) -> None:
        run = self._run(run_id)
        assert self.model.state != "paused"
        workflow = self.workflows[run_id] = Workflow()
        if answer is not None:
            if run.inside:
                self.model.decide(run, self.world.now)
            workflow.take(answer)
            workflow.rung = False
        self.world.starter.mark_started([run_id], self.world.now)

    def _run(self, run_id: UUID) -> Passage:
        (run,) = (each for each in self.model.runs if each.id == run_id)
        return run

    # -- the outbox --------------------------------------------------------------------------------------------

    @rule()
    def deliver(self) -> None:
        """The relay tells what is to be told."""
        mine = [self.key, *(str(run.id) for run in self.model.runs)]
        for parcel in self.world.rows(outbox, outbox.c.subject.in_(mine), outbox.c.done_at.is_(None)):
            if self._deliver(parcel):
                with self.world.database.write() as connection:
                    connection.execute(sa.update(outbox).where(outbox.c.id == parcel.id).values(done_at=self.world.now))

    def _deliver(self, parcel: sa.Row[Any]) -> bool:
        match parcel.kind:
            case "start_run":
                order = self.world.starter.claim_one(UUID(parcel.subject), self.world.now)
                if order is not None:
                    self._launch(order.run_id, order.answer)
            case "wake_run":
                return self._ring(UUID(parcel.subject))
            case "wake_held_runs":
                theirs = (runs.c.journey_key == self.key, runs.c.held_at.is_not(None), runs.c.ended_at.is_(None))
                for row in self.world.rows(runs, *theirs):
                    self._ring(row.id)
            case "wake_ended_runs":
                since = datetime.fromisoformat(parcel.payload["since"])
                for row in self.world.rows(runs, runs.c.journey_key == self.key, runs.c.ended_at == since):
                    self._ring(row.id)
            case "enter":
                self.fan_out()
        return True

    def _ring(self, run_id: UUID) -> bool:
        if (workflow := self.workflows.get(run_id)) is not None:
            workflow.rung = True
        return workflow is not None or not self._run(run_id).inside

    # -- what workflows do -------------------------------------------------------------------------------------

    @rule(fate=fates, hours=st.sampled_from([0, 0, 1, 24]))
    def go_on(self, fate: str, hours: int) -> None:
        """Some time passes, and whatever is to be done in it is done."""
        self.later(hours)
        self.deliver()
        self.fan_out()
        for run_id, workflow in list(self.workflows.items()):
            self._work(self._run(run_id), workflow, fate)
        if self.model.state != "paused":
            assert not any(run.marked for run in self.model.runs if run.id in self.workflows)

    @rule(fate=fates, all_of_them=st.booleans(), place=which)
    @precondition(lambda self: self.workflows)
    def work(self, fate: str, all_of_them: bool, place: int) -> None:
        """Workflows do what they have to do now: all of them, or one."""
        ids = list(self.workflows)
        for run_id in ids if all_of_them else [ids[place % len(ids)]]:
            self._work(self._run(run_id), self.workflows[run_id], fate)

    def _work(self, run: Passage, workflow: Workflow, fate: str) -> bool:
        """Do the one thing that is due; return whether there was any."""
        plan = workflow.plan
        if isinstance(plan, Finish):
            return False
        if isinstance(plan, Send):
            self._attempt(run, workflow, fate)
            return True
        if plan is None or workflow.rung or plan.until <= self.world.now:
            workflow.rung = False
            self._wake(run, workflow, self.world.now)
            return True
        return False

    @rule(place=which, early=st.booleans())
    @precondition(lambda self: self.workflows)
    def wake(self, place: int, early: bool) -> None:
        """A bell that nobody had reason to ring, perhaps by a clock that is behind."""
        run_id = list(self.workflows)[place % len(self.workflows)]
        run, workflow = self._run(run_id), self.workflows[run_id]
        if isinstance(workflow.plan, Park):
            now = max(self.world.now - 2 * HOUR, T0) if early and run.decided_at else self.world.now
            self._wake(run, workflow, now)

    def _wake(self, run: Passage, workflow: Workflow, now: datetime) -> None:
        answer = self.world.advancer.advance(run.id, workflow.sequence, now)
        if run.inside and run.doing != "sends":
            self.model.decide(run, now)
        workflow.take(answer)
        again = self.world.advancer.advance(run.id, workflow.sequence, now)
        assert (again.sequence, again.plan) == (answer.sequence, answer.plan)

    def _attempt(self, run: Passage, workflow: Workflow, fate: str) -> None:
        """One attempt of the activity that sends."""
        attempt, now = uuid4(), self.world.now
        answer = self.world.ledger.claim(run.id, workflow.sequence, attempt, now)
        self._expect_claim(run, attempt, is_claim=isinstance(answer, Claim))
        if isinstance(answer, Answer):
            workflow.take(answer)
        elif fate == "slow":
            self.slow.append((run, answer))
        elif fate == "dies with it":
            self.provided[answer.message.message_id] += 1
        elif fate != "dies":
            self._settle(run, answer, fate)

    def _expect_claim(self, run: Passage, attempt: UUID, *, is_claim: bool) -> None:
        model, now = self.model, max(self.world.now, run.decided_at or T0)
        if run.doing != "sends":
            assert not is_claim
            run.drop(claimed=True)
            return
        send = run.visit
        was, mine = run.ledger.get(send), run.holder.get(send) == attempt
        if was == "claimed" and not mine and send[0] != "text":
            run.ledger[send] = was = "uncertain"
        if was in ("accepted", "refused", "uncertain"):
            assert not is_claim
            model.settled(run, was, now)
        elif model.leaves(run, now) or model.state == "paused":
            assert not is_claim
            model.decide(run, now)
        else:
            assert is_claim
            assert model.state in SENDING
            run.ledger[send], run.holder[send] = "claimed", attempt
            run.tries[send] += 1

    @rule(place=which, fate=st.sampled_from(sorted(OUTCOMES)))
    @precondition(lambda self: self.slow)
    def finish_slow(self, place: int, fate: str) -> None:
        """An attempt that was taken for dead, or is just slow, hears from its provider."""
        run, claim = self.slow.pop(place % len(self.slow))
        self._settle(run, claim, fate)

    def _settle(self, run: Passage, claim: Claim, fate: str) -> None:
        now, row = self.world.now, self.world.row(run.id)
        if fate == "accepted":
            self.provided[claim.message.message_id] += 1
        answer = self.world.ledger.settle(claim, OUTCOMES[fate], now)
        (sent,) = self.world.rows(sent_messages, sent_messages.c.id == claim.message.message_id)
        send = (sent.step, sent.visit)
        if row.sequence == claim.sequence and run.holder[send] == claim.id:
            self._expect_settled(run, send, fate, now)
        else:
            was, mine = run.ledger[send], run.holder[send] == claim.id
            if was in ("uncertain", "claimed") and (was == "uncertain" or mine or fate == "accepted"):
                run.ledger[send] = {"accepted": "accepted", "unknown": "uncertain"}.get(fate, "refused")
        if isinstance(answer, Answer):
            self.workflows[run.id].take(answer)

    def _expect_settled(self, run: Passage, send: tuple[str, int], fate: str, now: datetime) -> None:
        may_repeat = send[0] == "text"
        match fate:
            case "busy" if run.tries[send] <= 1:
                run.ledger[send] = "released"
            case "busy":
                run.ledger[send] = "refused"
                self.model.settled(run, "gave_up", now)
            case "unknown" if may_repeat:
                run.ledger[send] = "released"
            case "unknown":
                run.ledger[send] = "uncertain"
                self.model.settled(run, "uncertain", now)
            case _:
                run.ledger[send] = fate
                self.model.settled(run, fate, now)

    # -- what happens to people --------------------------------------------------------------------------------

    @rule(hours=st.sampled_from([1, 4, 24, 200]))
    def later(self, hours: int) -> None:
        self.world.later(hours * HOUR)

    @rule(place=which)
    def buy(self, place: int) -> None:
        person = self.people[place % 3]
        event = self.world.happen(person.id, "bought")
        decided = [run.decided_at for run in self._theirs(person) if run.decided_at is not None]
        assert event.at >= self.world.now
        assert all(event.at > at for at in decided)
        person.bought.append(event.at)

    @rule(place=which)
    @precondition(lambda self: self.model.runs)
    def click(self, place: int) -> None:
        run = self.model.runs[place % len(self.model.runs)]
        claimed = [send for send in sorted(run.ledger) if send[0] != "text"]
        if not claimed:
            return
        name, visit = claimed[place % len(claimed)]
        (sent,) = self.world.rows(
            sent_messages,
            sent_messages.c.run_id == run.id,
            sent_messages.c.step == name,
            sent_messages.c.visit == visit,
        )
        self.world.events.record_click(sent.id, 1, None)
        at = max(click.at for click in self.world.path(run.id).clicks)
        assert at >= self.world.now
        assert run.decided_at is None or at > run.decided_at
        run.clicks.append((at, name, visit))

    # -- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def the_journey_is_what_the_model_says(self) -> None:
        if not self.model.shapes:
            return
        model = self.model
        (row,) = self.world.rows(journeys, journeys.c.key == self.key)
        assert row.state == model.state
        assert row.version == len(model.shapes)
        noted = [each.action for each in self.world.rows(audit, audit.c.journey_key == self.key)]
        assert Counter(noted) == Counter(model.audit)

    @invariant()
    def nobody_is_lost(self) -> None:
        rows = {row.id: row for row in self.world.rows(runs, runs.c.journey_key == self.key)}
        assert set(rows) == {run.id for run in self.model.runs}
        for run in self.model.runs:
            row = rows[run.id]
            assert (row.state, row.reason, row.step, row.version) == (run.state, run.reason, run.step, run.version)
            assert (row.held_at is not None) == run.marked, run
            assert (row.ended_at is None) == run.inside
            if run.doing == "waits":
                assert row.parked_until == (FOREVER if run.until is None else run.until)
            else:
                assert row.parked_until is None

    @invariant()
    def the_ledger_is_what_was_sent(self) -> None:
        rows = self.world.rows(sent_messages, sent_messages.c.journey_key == self.key)
        found: dict[UUID, dict[tuple[str, int], str]] = {}
        for row in rows:
            found.setdefault(row.run_id, {})[row.step, row.visit] = row.state
            taken = self.provided[row.id]
            if row.state == "accepted":
                assert taken
            if row.step != "text":
                assert taken <= 1
                assert not taken or row.state in ("accepted", "claimed", "uncertain")
        assert found == {run.id: run.ledger for run in self.model.runs if run.ledger}
        assert set(self.provided) <= {row.id for row in rows}

    @invariant()
    def figures_add_up(self) -> None:
        model = self.model
        if not model.shapes:
            return
        figures = self.world.figures(self.key)  # which asserts that they do
        inside = [run for run in model.runs if run.inside]
        assert (figures.entered, figures.inside) == (len(model.runs), len(inside))
        ended = (run for run in model.runs if not run.inside)
        assert figures.outcomes == Counter(
            f"{run.state}: {run.reason}" if run.reason not in (None, run.state) else run.state for run in ended
        )
        assert figures.held == (sum(run.marked for run in inside) if model.state == "paused" else 0)

    def teardown(self) -> None:
        """Let everybody go: nobody stays inside who has no reason to."""
        if not self.model.shapes:
            return
        for number, _ in enumerate(self.model.shapes, 1):
            figures = self.world.figures(self.key, number)
            assert figures.moved_in == sum(to == number for _, to in self.model.moved)
            assert figures.moved_out == sum(left == number for left, _ in self.model.moved)
        if self.model.state == "paused":
            self.resume()
        for _ in range(60):
            self.deliver()
            self.fan_out()
            did = [self._work(self._run(run_id), self.workflows[run_id], "accepted") for run_id in self.workflows]
            if not any(did):
                waiting = [each.plan.until for each in self.workflows.values() if isinstance(each.plan, Park)]
                if not waiting:
                    break
                assert min(waiting) < FOREVER, "somebody waits, and nobody will tell them"
                self.world.now = max(self.world.now, min(waiting))
        assert not any(run.inside for run in self.model.runs)
        assert all(isinstance(each.plan, Finish) for each in self.workflows.values())
        self.nobody_is_lost()
        self.the_ledger_is_what_was_sent()
        left = [send for run in self.model.runs for send in run.ledger.values()]
        assert not {"claimed", "released"} & set(left)
        if self.model.state not in OVER:
            with self.world.database.write() as connection:
                stop(connection, self.key, self.world.now)


def play(database: Database, examples: int, steps: int) -> None:
    """Play so many journeys."""
    world = World(database)
    run_state_machine_as_test(
        lambda: JourneyMachine(world),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_is_done_to_a_journey_nobody_is_lost_and_nothing_is_sent_twice(sqlite_database: Database) -> None:
    play(sqlite_database, examples=10, steps=80)


def test_it_is_the_same_on_postgresql(postgres_database: Database) -> None:
    play(postgres_database, examples=3, steps=40)
