"""What is asked of a reconciliation, and what it answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, Self
from uuid import UUID

from pydantic import Field

from api.model import In, Out
from wend.reconciling.asking import Options, Reconciliation, State
from wend.reconciling.findings import MOST_EXAMPLES, Kind

EXAMPLES: Final[Mapping[str, Any]] = {
    "repair what is safe to": {},
    "only compare": {"repair": False},
    "end runs that Temporal has lost": {"lost": "fail"},
}


class ReconcileIn(In):
    """What a reconciliation is to do."""

    repair: bool = Field(default=True, strict=True, description="Mend what is safe to mend; else only compare.")
    lost: Literal["revive", "fail"] = Field(
        default="revive",
        description="Open runs whose workflow Temporal does not have: go on by a new one, or end as `failed(lost)`.",
    )

    def chosen(self) -> Options:
        """Return what was chosen."""
        return Options(self.repair, self.lost)


class DiscrepancyOut(Out):
    """One thing that does not fit another."""

    subject: str = Field(
        description="The id of a run, an entry, a message; a journey's key; of a workflow without a run: that one's id."
    )
    cause: str
    repaired: bool
    note: str = Field(description="How it was mended, or why it was not.")


class KindOut(Out):
    """What was found of one kind."""

    kind: Kind = Field(examples=["workflow_lost"])
    what: str = Field(examples=["open runs whose workflow Temporal does not have"])
    found: int
    repaired: int
    remaining: int
    examples: list[DiscrepancyOut] = Field(
        description=f"At most {MOST_EXAMPLES}; those that remain come first.", max_length=MOST_EXAMPLES
    )


class ReportOut(Out):
    """What came of a reconciliation."""

    compared: dict[str, int] = Field(description="How many of what were looked at.", examples=[{"runs": 120}])
    found: int
    repaired: int
    remaining: int
    kinds: list[KindOut] = Field(description="Only those of which there was something.")


class ProgressOut(Out):
    """How far a reconciliation is."""

    stage: int
    stages: int
    doing: str
    compared: dict[str, int]
    found: int


class ReconciliationOut(Out):
    """One comparison of a journey's rows with each other and with Temporal."""

    id: UUID
    journey: str
    state: State = Field(description="`asked` → `running` → `done`; `failed`: it could not be carried out.")
    by: str = Field(description="Who asked; `wend`: it comes by schedule.")
    repair: bool
    lost: Literal["revive", "fail"]
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    waits_for: Literal["relay", "temporal", "worker", "turn"] | None = Field(
        description="While it is `asked`: who has yet to take it on; `turn`: another one of the journey has to end."
    )
    trouble: str | None = Field(description="Why the last attempt to have it begun went wrong.")
    progress: ProgressOut | None = Field(description="While it runs.")
    report: ReportOut | None = Field(description="Once it is done.")
    error: str | None

    @classmethod
    def of(cls, found: Reconciliation) -> Self:
        """Return how a reconciliation is shown."""
        report = found.report
        return cls(
            id=found.id,
            journey=found.journey,
            state=found.state,
            by=found.by,
            repair=found.options.repair,
            lost=found.options.lost,
            asked_at=found.asked_at,
            started_at=found.started_at,
            finished_at=found.finished_at,
            waits_for=found.waits_for,
            trouble=found.trouble,
            progress=ProgressOut.model_validate(report) if report and found.state == "running" else None,
            report=ReportOut.model_validate(report) if report and found.state == "done" else None,
            error=found.error,
        )
