"""Wire names are for ever: they stand in histories that run for months."""

from temporalio import activity, workflow

from activities.entries import EntryActivities
from activities.fanout import FanOutActivities
from activities.reconciling import ReconcilingActivities
from activities.resending import ResendActivities
from activities.runs import RunActivities
from worker import WORKFLOWS


def test_the_names_of_workflows_signals_and_queries_stay() -> None:
    found = {}
    for each in WORKFLOWS:
        definition = workflow._Definition.must_from_class(each)
        found[definition.name] = (set(definition.signals), set(definition.queries), set(definition.updates))
    assert found == {
        "JourneyRun": ({"record_event", "wake"}, {"progress"}, set()),
        "MessageResend": (set(), set(), set()),
        "ReconcileAll": (set(), set(), set()),
        "Reconciliation": (set(), set(), set()),
        "SegmentEntry": (set(), set(), set()),
    }


def test_the_names_of_activities_stay() -> None:
    names = set()
    for owner in (RunActivities, ResendActivities, EntryActivities, FanOutActivities, ReconcilingActivities):
        for member in vars(owner).values():
            if callable(member) and (definition := activity._Definition.from_callable(member)):
                names.add(definition.name)
    assert names == {
        "advance_run",
        "send_message",
        "resend_message",
        "open_entry",
        "start_runs",
        "finish_entry",
        "refill_schedule",
        "reconcile_journey",
        "ask_for_reconciliations",
    }
