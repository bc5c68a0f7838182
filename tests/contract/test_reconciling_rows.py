"""Rows against rows: each comparison is made to find something, by rows that are changed behind everybody's back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.reconciling import Reconciling
from tests.support.world import AWAIT_CLICK, DAY, MAIL, T0, TEXT, World
from wend import outbox
from wend.channels.port import NotAccepted, Unknown
from wend.journeys.occurrences import Occurrence
from wend.reconciling import asking
from wend.reconciling.findings import KINDS, MOST_EXAMPLES, SAID, Discrepancy, Report
from wend.reconciling.port import Closed
from wend.sends.operating import FORGOTTEN_AFTER, ask_resend
from wend.sends.resending import Asked, Reclaim, Resender, Resent
from wend.storage.database import Database
from wend.storage.tables import reconciliations, sent_messages

A_MINUTE = timedelta(minutes=1)
A_DAY = timedelta(days=1)
BUSY = NotAccepted("busy", "later")


@pytest.fixture
def desk(sqlite_database: Database) -> Iterator[Reconciling]:
    """For what no database has a say in."""
    with ThreadPoolExecutor(1) as executor:
        yield Reconciling(World(sqlite_database), executor)


@pytest.fixture
def each(database: Database) -> Iterator[Reconciling]:
    """On each kind of database."""
    with ThreadPoolExecutor(1) as executor:
        yield Reconciling(World(database), executor)


def entered(desk: Reconciling, *steps: dict[str, Any], name: str = "ada", **journey: Any) -> UUID:
    """Have somebody enter a journey of these steps, with a workflow."""
    desk.world.journey(*steps, **journey)
    run_id = desk.world.enter(desk.world.person(name))
    desk.has(run_id)
    return run_id


def sends(desk: Reconciling) -> list[tuple[str, str | None]]:
    return [(row.state, row.reason) for row in desk.world.rows(sent_messages)]


# -- ledger -----------------------------------------------------------------------------------------------------------


async def test_a_claim_that_its_run_has_left_is_uncertain(each: Reconciling) -> None:
    run_id = entered(each, MAIL, DAY)
    claim = each.world.claimed(run_id)
    each.world.settle(claim)
    each.change("sent_messages", {"state": "claimed", "settled_at": None})
    assert "claim_left" not in await each.found(after=timedelta(minutes=1))
    found = await each.one(after=A_MINUTE)
    assert (found["kind"], found["repaired"], found["note"]) == ("claim_left", True, "settled as uncertain")
    assert found["subject"] == str(claim.message.message_id)
    assert sends(each) == [("uncertain", "attempt_lost")]


async def test_a_claim_of_a_run_that_still_sends_is_its_next_attempts_affair(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL)
    desk.world.claimed(run_id)
    assert await desk.found(after=timedelta(hours=1)) == {}
    assert sends(desk) == [("claimed", None)]


async def test_a_send_that_is_sent_again_is_left_alone(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL, DAY)
    desk.world.send(run_id)
    desk.change("sent_messages", {"state": "claimed", "resend_asked_at": desk.world.now})
    assert await desk.found() == {}


async def test_what_waits_to_be_tried_again_is_dropped_with_its_run(each: Reconciling) -> None:
    run_id = entered(each, MAIL)
    each.world.send(run_id, BUSY)
    assert await each.found() == {}
    each.change("runs", {"ended_at": each.world.now, "state": "completed"})
    found = await each.run()
    (kind,) = [of for of in found["kinds"] if of["kind"] == "release_left"]
    assert (kind["found"], kind["repaired"]) == (1, 1)
    assert sends(each) == [("refused", "run_went_on")]


async def test_a_dry_run_settles_nothing(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL, DAY)
    desk.world.send(run_id)
    desk.change("sent_messages", {"state": "claimed"})
    assert await desk.found(repair=False) == {"claim_left": (1, 0)}
    assert sends(desk) == [("claimed", None)]


# -- journal ----------------------------------------------------------------------------------------------------------


async def test_a_send_without_a_move_is_named(each: Reconciling) -> None:
    run_id = entered(each, MAIL, DAY)
    each.world.send(run_id)
    assert await each.found() == {}
    each.change("moves", {"why_kind": "waited"}, "why_kind = 'message_settled'")
    found = await each.one()
    assert (found["kind"], found["repaired"]) == ("send_unjournaled", False)
    assert found["subject"] == str(each.world.path(run_id).messages[0].id)


async def test_a_move_without_a_send_is_named(each: Reconciling) -> None:
    run_id = entered(each, MAIL, DAY)
    each.world.send(run_id)
    each.delete("sent_links")
    each.delete("sent_messages")
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("send_unwritten", str(run_id), False)


async def test_who_left_while_a_provider_had_the_message_is_well(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL, TEXT)
    claim = desk.world.claimed(run_id)
    desk.world.stop()
    desk.world.settle(claim)
    desk.workflows.runs.clear()
    assert sends(desk) == [("accepted", "late_outcome")]
    assert await desk.found() == {}


async def test_what_was_not_sent_at_all_needs_no_row(desk: Reconciling) -> None:
    desk.world.journey(MAIL, DAY)
    run_id = desk.world.enter(desk.world.person("ada", email=None))
    desk.has(run_id)
    desk.world.claim(run_id)
    assert await desk.found() == {}


async def test_routinely_only_runs_that_began_lately_are_compared(desk: Reconciling) -> None:
    run_id = entered(desk, MAIL, AWAIT_CLICK | {"within": "P9D"})
    desk.world.send(run_id)
    desk.change("moves", {"why_kind": "waited"}, "why_kind = 'message_settled'")
    assert set(await desk.found(routine=True)) == {"send_unjournaled"}
    assert await desk.found(after=3 * A_DAY, routine=True) == {}
    assert set(await desk.found()) == {"send_unjournaled"}


# -- outbox -----------------------------------------------------------------------------------------------------------


async def test_what_the_relay_cannot_deliver_is_named_with_its_error(each: Reconciling) -> None:
    each.world.journey(DAY)
    each.world.journey(DAY, key="other")
    each.world.deliver_nothing()
    run_id = each.world.request(each.world.person("ada"))
    each.world.request(each.world.person("ben"), "other")
    found = await each.one(after=A_MINUTE, delivered=False)
    assert (found["kind"], found["subject"], found["repaired"]) == ("outbox_waiting", str(run_id), False)
    assert found["cause"] == "start run, since 2026-12-01T09:00:00Z"
    assert found["note"] == "the relay has not tried yet: does one run?"
    with each.world.database.write() as connection:
        for parcel in outbox.take(connection, each.world.now, 10):
            outbox.mark_failed(connection, parcel, "RPCError: nobody there", each.world.now)
    found = await each.one(delivered=False)
    assert found["note"] == "the relay has tried 1 time(s), the last: RPCError: nobody there"


async def test_what_was_put_off_on_purpose_is_well(desk: Reconciling) -> None:
    desk.world.journey(DAY)
    desk.world.deliver_nothing()
    with desk.world.database.write() as connection:
        outbox.put_later(connection, "wake_held_runs", "trip", T0 + A_DAY, T0, {"rate": 1})
    assert await desk.found(delivered=False) == {}


# -- entries and figures ----------------------------------------------------------------------------------------------


async def test_an_entry_that_does_not_add_up_is_named(each: Reconciling) -> None:
    each.world.listed("club", each.world.people(["ada", "ben"]))
    each.world.journey(DAY, entry={"segment": "club", "schedule": {"start": {"at": "2026-12-01T09:00"}}})
    entry = each.world.desk.open("trip", Occurrence("2026-12-01T09:00", T0), T0)
    assert entry is not None
    orders = each.world.starter.claim(entry.id, T0)
    each.world.starter.mark_started([order.run_id for order in orders], T0)
    each.world.desk.finish(entry.id, T0)
    for order in orders:
        each.has(order.run_id)
    assert await each.found() == {}
    each.change("entries", {"members": 5})
    assert await each.found(after=A_MINUTE) == {"entry_uneven": (1, 0), "figures_uneven": (1, 0)}
    assert await each.found(after=A_MINUTE, routine=True) == {"entry_uneven": (1, 0), "figures_uneven": (1, 0)}
    found = await each.run(after=A_MINUTE)
    assert found["kinds"][0]["examples"][0]["cause"] == "2026-12-01T09:00: 5 members, but 2 runs and 0 exclusions"


async def test_figures_that_do_not_add_up_are_named(each: Reconciling) -> None:
    entered(each, DAY)
    each.delete("moves")
    found = await each.one()
    assert (found["kind"], found["subject"], found["repaired"]) == ("figures_uneven", "trip", False)
    assert found["cause"] == "0 came to step 'day', but 1 are there and 0 have left it"


async def test_figures_of_a_version_are_named_too(desk: Reconciling) -> None:
    entered(desk, DAY)
    desk.world.journey(DAY, TEXT)
    desk.change("runs", {"version": 2})
    report = await desk.run()
    (kind,) = report["kinds"]
    assert {example["subject"] for example in kind["examples"]} == {"trip, version 1", "trip, version 2"}


# -- reports and the reconciliations themselves -----------------------------------------------------------------------


def test_a_report_counts_all_and_keeps_some_what_remains_first() -> None:
    report = Report()
    report.add(Discrepancy("run_overdue", str(number), "late", repaired=True) for number in range(500))
    report.add([Discrepancy("run_overdue", "left", "late"), Discrepancy("workflow_lost", "run", "gone", True)])
    document = report.document()
    assert (document["found"], document["repaired"], document["remaining"]) == (502, 501, 1)
    lost, late = document["kinds"]
    assert (lost["kind"], late["kind"]) == ("workflow_lost", "run_overdue")
    assert (late["found"], late["repaired"], late["remaining"]) == (501, 500, 1)
    assert len(late["examples"]) == MOST_EXAMPLES
    assert late["examples"][0]["subject"] == "left"
    assert set(SAID) == set(KINDS)


async def test_what_came_of_it_is_kept(each: Reconciling) -> None:
    entered(each, DAY)
    each.workflows.runs.clear()
    document = await each.run()
    with each.world.database.read() as connection:
        (kept,) = asking.page(connection, "trip")
    assert (kept.state, kept.by, kept.report, kept.error) == ("done", "ada", document, None)
    assert kept.finished_at == each.world.now
    assert await each.reconciler.reconcile(kept.id, lambda doing: None) is None, "it is carried out once"


async def test_how_far_it_is_can_be_watched(desk: Reconciling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wend.reconciling.reconciler.SHOWN_EVERY", 0)
    entered(desk, DAY)
    desk.workflows.runs.clear()
    id = desk.ask()
    shown: list[Any] = []

    def look(doing: str) -> None:
        (row,) = desk.world.rows(reconciliations)
        shown.append((row.state, row.report and row.report["stage"]))

    desk.world.later(A_DAY)
    assert await desk.reconciler.reconcile(id, look) is not None
    assert shown[0] == ("running", None)
    assert shown[-1] == ("running", 3)


async def test_one_that_waits_says_for_whom(desk: Reconciling) -> None:
    desk.world.journey(DAY)
    desk.world.deliver_nothing()
    id = desk.ask()

    def waits_for() -> tuple[str | None, str | None]:
        with desk.world.database.read() as connection:
            found = asking.read(connection, "trip", id)
        return found.waits_for, found.trouble

    assert waits_for() == ("relay", None)
    for error, expected in (("RPCError: away", "temporal"), (f"{asking.UNDER_WAY}: trip", "turn")):
        with desk.world.database.write() as connection:
            (parcel,) = outbox.take(connection, desk.world.later(A_MINUTE), 10)
            outbox.mark_failed(connection, parcel, error, desk.world.now)
        assert waits_for() == (expected, error)
    desk.world.deliver_nothing()
    assert waits_for() == ("worker", None)
    await desk.reconciler.reconcile(id, lambda doing: None)
    assert waits_for() == (None, None)


def test_routinely_every_journey_is_asked_for_that_is_not_over(each: Reconciling) -> None:
    for key in ("draft", "live", "paused", "stopped", "gone"):
        each.world.journey(DAY, key=key)
    each.world.pause("paused")
    each.world.stop("gone")
    each.world.later(timedelta(hours=2))
    each.world.stop("stopped")
    each.change("journeys", {"state": "draft"}, "key = 'draft'")
    assert each.reconciler.ask_for_all() == ["live", "paused", "stopped"]
    assert each.world.waiting("reconcile") == ["live", "paused", "stopped"]
    assert each.reconciler.ask_for_all() == [], "the ones before have not ended yet"
    each.world.later(asking.LASTS)
    assert each.reconciler.ask_for_all() == ["live", "paused"], "nobody may hold them back for ever"


async def test_old_routine_ones_are_forgotten_but_for_the_newest(each: Reconciling) -> None:
    each.world.journey(DAY)
    for _ in range(3):
        assert each.reconciler.ask_for_all() == ["trip"]
        (row,) = each.world.rows(reconciliations, reconciliations.c.state == "asked")
        await each.reconciler.reconcile(row.id, lambda doing: None)
        each.world.later(timedelta(minutes=10))
    await each.run()
    each.world.later(asking.KEEP)
    each.reconciler.ask_for_all()
    kept = each.world.rows(reconciliations, reconciliations.c.state == "done")
    assert [row.by for row in kept] == ["ada"]


async def test_one_that_never_ended_is_written_off(desk: Reconciling) -> None:
    desk.world.journey(DAY)
    desk.ask()
    desk.world.later(timedelta(days=1, seconds=1))
    desk.reconciler.ask_for_all()
    states = {row.by: (row.state, row.error) for row in desk.world.rows(reconciliations)}
    assert states == {"ada": ("failed", "nobody has ended it within a day"), "wend": ("asked", None)}


async def test_what_waits_for_this_one_to_end_is_no_discrepancy(desk: Reconciling) -> None:
    desk.world.journey(DAY)
    desk.world.deliver_nothing()
    desk.ask()
    assert await desk.found(delivered=False) == {}


async def test_a_resend_that_nobody_is_at_any_more_is_uncertain_again(each: Reconciling) -> None:
    run_id = entered(each, MAIL, DAY)
    each.world.send(run_id, Unknown("connection_lost", "after the data"))
    (sent,) = each.world.rows(sent_messages)
    with each.world.database.write() as connection:
        asked = Asked(sent.id, ask_resend(connection, sent.id, each.world.now), sent.tries)
    resender = Resender(each.world.database, each.world.versions, each.world.composer)
    assert isinstance(resender.claim(asked, uuid4(), each.world.now), Reclaim)
    assert await each.found(after=FORGOTTEN_AFTER - A_MINUTE) == {}, "its workflow may have it tried again"
    assert await each.found() == {"claim_left": (1, 1)}
    (sent,) = each.world.rows(sent_messages)
    assert (sent.state, sent.reason, sent.resend_asked_at) == ("uncertain", "attempt_lost", None)
    late = resender.claim(asked, uuid4(), each.world.now)
    assert late == Resent("uncertain", "not_asked_any_more"), "one that was only late calls nobody"


async def test_what_an_attempt_has_mended_that_was_broken_off_is_told(each: Reconciling) -> None:
    each.world.journey(DAY)
    for name in ("ada", "ben", "cleo"):
        run_id = each.world.enter(each.world.person(name))
        each.has(run_id, Closed("terminated"))
    each.world.deliver_nothing()
    each.world.later(timedelta(minutes=5))
    id = each.ask()

    def stop(doing: str) -> None:
        if doing == "starts":
            raise RuntimeError("this worker stops")

    with pytest.raises(RuntimeError):
        await each.reconciler.reconcile(id, stop)
    each.world.deliver_nothing()
    each.world.later(A_MINUTE)
    report = await each.reconciler.reconcile(id, lambda doing: None)
    assert report is not None
    (kind,) = report.document()["kinds"]
    assert (kind["kind"], kind["found"], kind["repaired"], kind["examples"]) == ("workflow_closed", 3, 3, [])
    assert await each.found() == {}, "another reconciliation has mended nothing"
