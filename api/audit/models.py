"""What is answered about who did what."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from api.model import Out
from wend.lifecycle.audit import Action


class AuditOut(Out):
    """One thing that somebody did; it never changes."""

    id: int = Field(description="Later ones have higher ids.")
    at: datetime
    by: str = Field(
        description="As `Wend-Actor` said; `api`: nobody said; `wend`: it came by itself, as had been planned.",
        examples=["ada"],
    )
    action: Action = Field(examples=["pause"])
    journey: str | None
    version: int | None
    run_id: UUID | None
    profile_id: UUID | None
    detail: dict[str, Any] = Field(
        description="What was chosen, and how many it concerned.",
        examples=[{"entries": "drop", "waits": "run", "inside": 120}],
    )
