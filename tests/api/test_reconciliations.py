"""Reconciliations over HTTP and by the command line: asked for, watched, shown; and what alarms are told of them."""

import asyncio
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from api.reconciliations.models import EXAMPLES
from tests.api.conftest import Api, make_parts
from tests.support.commands import Ran, run_command, served
from tests.support.reconciling import Reconciling
from tests.support.world import DAY, T0
from wend import outbox
from wend.cli.auditing import say_deed
from wend.cli.output import Output
from wend.cli.reconciling import LOOK_EVERY, NotBegun, NotCarriedOut, Stands, draw, watch
from wend.reconciling.findings import Discrepancy, Report
from wend.storage.tables import audit

A_DAY = timedelta(days=1)
COMMAND = import_module("wend.cli.reconciling")  # the package has a function of this name
PATH = "/v1/journeys/trip/reconciliations"


@dataclass
class Rig:
    """The API, and what carries its reconciliations out."""

    api: Api
    desk: Reconciling

    def work(self) -> None:
        """Do what a worker does, once: carry out what was asked for."""
        world = self.api.world
        with world.database.write() as connection:
            parcels = [each for each in outbox.take(connection, world.time(), 100) if each.kind == "reconcile"]
        for parcel in parcels:
            asyncio.run(self.desk.reconciler.reconcile(UUID(parcel.payload["id"]), lambda doing: None))

    def lost(self) -> UUID:
        """Have somebody inside whose workflow is gone, and time pass."""
        world = self.api.world
        world.journey(DAY | {"for": "P9D"})
        run_id = world.enter(world.person("ada"))
        world.deliver_nothing()
        world.later(A_DAY)
        return run_id


def rig_of(api: Api, executor: ThreadPoolExecutor) -> Rig:
    return Rig(api, Reconciling(api.world, executor))


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def rig(api_on_sqlite: Api, executor: ThreadPoolExecutor) -> Rig:
    return rig_of(api_on_sqlite, executor)


@pytest.fixture
def wend(rig: Rig) -> Iterator[Callable[..., Ran]]:
    """Runs a command against the API."""
    with served(make_parts(rig.api.world.database, rig.api.world.time)) as url:
        yield lambda *words, **more: run_command(*words, api=url, **more)


# -- over HTTP --------------------------------------------------------------------------------------------------------


def test_it_is_asked_for_and_answered_later(api: Api, executor: ThreadPoolExecutor) -> None:
    rig = rig_of(api, executor)
    run_id = rig.lost()
    asked = api.ok("POST", PATH, headers={"Wend-Actor": "ada"})
    assert (asked["state"], asked["by"], asked["repair"], asked["lost"]) == ("asked", "ada", True, "revive")
    assert (asked["waits_for"], asked["report"], asked["progress"]) == ("relay", None, None)
    assert api.world.waiting("reconcile") == ["trip"]
    rig.work()
    done = api.ok("GET", f"{PATH}/{asked['id']}")
    assert (done["state"], done["waits_for"], done["started_at"]) == ("done", None, "2026-12-02T09:00:00Z")
    assert (done["report"]["found"], done["report"]["repaired"], done["report"]["remaining"]) == (1, 1, 0)
    (kind,) = done["report"]["kinds"]
    assert (kind["kind"], kind["examples"][0]["subject"]) == ("workflow_lost", str(run_id))
    assert [(row.by, row.action) for row in api.world.rows(audit, audit.c.action == "reconcile")] == [
        ("ada", "reconcile")
    ]


def test_what_came_of_them_is_listed_the_newest_first(rig: Rig) -> None:
    rig.lost()
    ids = []
    for body in EXAMPLES.values():
        ids.append(rig.api.ok("POST", PATH, body)["id"])
        rig.work()
        rig.api.world.later(A_DAY)
    page = rig.api.ok("GET", f"{PATH}?limit=2")
    rest = rig.api.ok("GET", f"{PATH}?limit=2&cursor={page['next']}")
    assert [each["id"] for each in (*page["items"], *rest["items"])] == ids[::-1]
    assert rest["next"] is None


def test_while_it_runs_it_says_how_far_it_is(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wend.reconciling.reconciler.SHOWN_EVERY", 0)
    rig.lost()
    id = rig.api.ok("POST", PATH)["id"]
    seen: list[Any] = []

    def look(_: object) -> None:
        seen.append(rig.api.ok("GET", f"{PATH}/{id}"))

    rig.desk.workflows.meanwhile = look
    rig.work()
    assert (seen[0]["state"], seen[0]["report"]) == ("running", None)
    progress = {"stage": 0, "stages": 4, "doing": "runs", "compared": {"runs": 1, "workflows": 0}, "found": 0}
    assert seen[0]["progress"] == progress


def test_what_is_not_there_is_said(rig: Rig) -> None:
    rig.api.world.journey(DAY)
    id = rig.api.ok("POST", PATH)["id"]
    rig.api.world.journey(DAY, key="other")
    for method, path in (
        ("POST", "/v1/journeys/none/reconciliations"),
        ("GET", "/v1/journeys/none/reconciliations"),
        ("GET", f"/v1/journeys/other/reconciliations/{id}"),
        ("GET", f"{PATH}/{uuid4()}"),
    ):
        rig.api.problem(404, method, path)
    assert set(rig.api.problems("POST", PATH, {"repair": "yes", "lost": "both", "more": 1})) == {
        "repair",
        "lost",
        "more",
    }


def test_one_that_failed_says_why(rig: Rig) -> None:
    rig.api.world.journey(DAY)
    id = rig.api.ok("POST", PATH)["id"]
    rig.desk.reconciler.fail(UUID(id), "no permission")
    failed = rig.api.ok("GET", f"{PATH}/{id}")
    assert (failed["state"], failed["error"], failed["report"]) == ("failed", "no permission", None)


# -- metrics ----------------------------------------------------------------------------------------------------------


def scrape(api: Api) -> dict[tuple[str, ...], float]:
    """Return what concerns reconciliations: (name, labels' values) → value."""
    text = api.client.get("/metrics").text
    wanted = ("wend_discrepancies", "wend_reconciled_seconds", "wend_runs_stuck")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in wanted
    }


def test_alarms_are_told_what_remains_and_how_old_that_is(api: Api, executor: ThreadPoolExecutor) -> None:
    rig = rig_of(api, executor)
    run_id = rig.lost()
    rig.desk.has(run_id)
    assert scrape(api)["wend_reconciled_seconds", "trip"] == A_DAY.total_seconds(), "since its publication"
    assert scrape(api)["wend_discrepancies", "trip", "outbox_waiting"] == 0
    rig.desk.change("moves", {"why_kind": "waited", "from_step": "elsewhere"})
    api.ok("POST", PATH)
    rig.work()
    api.world.later(timedelta(seconds=90))
    told = scrape(api)
    assert told["wend_discrepancies", "trip", "figures_uneven"] == 1
    assert told["wend_discrepancies", "trip", "workflow_lost"] == 0
    assert told["wend_reconciled_seconds", "trip"] == 90
    api.ok("POST", PATH, {"repair": False})
    rig.desk.workflows.runs.clear()
    rig.work()
    assert scrape(api) == told, "one that only compares is nobody's alarm"


def test_stuck_runs_are_counted_also_while_nobody_reconciles(api: Api) -> None:
    api.world.journey(DAY)
    api.world.enter(api.world.person("ada"))
    assert scrape(api)["wend_runs_stuck", "trip"] == 0
    api.world.later(A_DAY + timedelta(minutes=1))
    assert scrape(api)["wend_runs_stuck", "trip"] == 1
    api.world.stop()
    assert ("wend_runs_stuck", "trip") not in scrape(api)


# -- by the command line ----------------------------------------------------------------------------------------------


class Hands:
    """A clock that stands still but for naps, in which work is done."""

    def __init__(self, work: Callable[[], None] = lambda: None) -> None:
        self.now = 0.0
        self._work = work

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._work()


@pytest.fixture
def working(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a worker carry out what was asked for while the command waits."""
    monkeypatch.setattr(COMMAND, "time", Hands(rig.work))


@pytest.mark.usefixtures("working")
def test_the_command_mends_and_says_so(rig: Rig, wend: Callable[..., Ran]) -> None:
    run_id = rig.lost()
    ran = wend("reconcile", "trip")
    assert ran.exit_code == 0, ran.said
    assert "open runs whose workflow Temporal does not have 1 1 0" in ran.said
    assert f"{run_id} Temporal does not have its workflow: its state was lost or replaced; goes on by a new" in ran.said
    assert "1 found, 1 mended, 0 remaining" in ran.said
    again = wend("reconcile", "trip")
    assert (again.exit_code, "Everything fits together; 1 open run(s) were compared" in again.said) == (0, True)
    assert "1 mended: open runs whose workflow Temporal does not have" in wend("audit", "trip").said


@pytest.mark.usefixtures("working")
def test_it_exits_1_where_something_remains(rig: Rig, wend: Callable[..., Ran]) -> None:
    rig.lost()
    dry = wend("reconcile", "trip", "--dry-run")
    assert dry.exit_code == 1
    assert "1 found, 0 mended, 1 remaining; nothing was mended, as was asked" in dry.said
    last = wend("reconcile", "trip", "--last", "--json")
    assert (last.exit_code, last.json["repair"], last.json["report"]["remaining"]) == (1, False, 1)
    rig.api.world.later(timedelta(seconds=1))
    assert wend("reconcile", "trip", "--lost", "fail").exit_code == 0
    assert wend("reconcile", "trip", "--last", "--json").json["lost"] == "fail"
    assert rig.api.world.figures().outcomes == {"failed: lost": 1}


def test_there_may_be_no_last_one(rig: Rig, wend: Callable[..., Ran]) -> None:
    rig.api.world.journey(DAY)
    ran = wend("reconcile", "trip", "--last")
    assert ran.exit_code == 1
    assert "Begin one with: wend reconcile trip" in ran.err
    for more in (["--dry-run"], ["--lost", "fail"]):
        assert wend("reconcile", "trip", "--last", *more).exit_code == 2
    assert wend("reconcile", "nowhere").exit_code == 1


def test_it_does_not_wait_for_ever(rig: Rig, wend: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands()
    monkeypatch.setattr(COMMAND, "time", hands)
    rig.api.world.journey(DAY)
    ran = wend("reconcile", "trip", "--patience", "5")
    assert ran.exit_code == 1
    assert "Nobody has begun within 5 s to reconcile journey 'trip': the relay has not come to it" in ran.err
    assert hands.now == pytest.approx(5 + LOOK_EVERY)


def reconciliation(state: str, **more: Any) -> dict[str, Any]:
    """Return what the API answers of one."""
    nothing = dict.fromkeys(("waits_for", "trouble", "progress", "report", "error", "started_at", "finished_at"))
    asked = {"id": str(uuid4()), "journey": "trip", "by": "ada", "repair": True, "lost": "revive"}
    return {**nothing, **asked, "asked_at": T0.isoformat(), "state": state, **more}


def progress(stage: int) -> dict[str, Any]:
    return {"stage": stage, "stages": 4, "doing": "runs", "compared": {"runs": 7}, "found": 0}


def watched(*answers: dict[str, Any], patience: float = 10) -> dict[str, Any]:
    """Watch a reconciliation that stands like this, at one look after the other, and then as at the last."""
    told = iter(answers)
    last = answers[-1]
    return watch(reconciliation("asked"), lambda: next(told, last), Output(as_json=True), patience, Hands())


@pytest.mark.parametrize(
    ("waits_for", "trouble", "said"),
    [
        ("temporal", "RPCError: away", "the relay could not tell Temporal (RPCError: away)"),
        ("worker", None, "no worker takes it"),
        ("turn", None, "another reconciliation of the journey has not ended yet"),
        (None, None, "nobody says why"),
    ],
)
def test_whoever_waits_is_told_for_whom(waits_for: str | None, trouble: str | None, said: str) -> None:
    with pytest.raises(NotBegun) as raised:
        watched(reconciliation("asked", waits_for=waits_for, trouble=trouble))
    assert said in str(raised.value)


def test_patience_is_for_progress_not_for_the_whole() -> None:
    steps = [reconciliation("running", progress=progress(number // 30)) for number in range(120)]
    assert watched(*steps, reconciliation("done"))["state"] == "done", "thirty seconds, of which none stood for ten"
    with pytest.raises(Stands):
        watched(*steps)


def test_one_that_cannot_be_carried_out_is_an_error(rig: Rig, wend: Callable[..., Ran], monkeypatch: Any) -> None:
    rig.api.world.journey(DAY)

    def fail() -> None:
        (row,) = rig.api.ok("GET", PATH)["items"]
        rig.desk.reconciler.fail(UUID(row["id"]), "no permission")

    monkeypatch.setattr(COMMAND, "time", Hands(fail))
    ran = wend("reconcile", "trip")
    assert (ran.exit_code, str(NotCarriedOut({"journey": "trip", "error": "no permission", "id": ""})) in ran.err) == (
        1,
        True,
    )
    assert "failed: no permission" in wend("reconcile", "trip", "--last").said


def test_many_of_a_kind_are_shortened() -> None:
    report = Report()
    report.add(Discrepancy("run_overdue", f"run-{number}", "late", note="\x1b[31mred") for number in range(12))
    file = io.StringIO()
    done = reconciliation("done", report=report.document(), finished_at=T0.isoformat())
    Console(file=file, width=200).print(draw(done))
    assert "… and 2 more: --json" in file.getvalue()
    assert "\\x1b[31mred" in file.getvalue(), "control characters are only shown"


def test_what_was_mended_is_said_in_the_audit_log() -> None:
    record = {"action": "reconcile", "detail": {"kind": "claim_left", "repaired": 1200}}
    assert say_deed(record) == "1,200 mended: sends that their attempt has left claimed"
