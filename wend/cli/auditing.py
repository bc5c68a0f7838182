"""``wend audit``: who did what to a journey, and to whom."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from wend.cli.inputs import Email, ExternalId, ProfileId, chosen_identity, find_profile
from wend.cli.output import clean, instant, listing, moment, say_value
from wend.cli.session import RUNNING, Limit, Session, asks_api
from wend.reconciling.findings import SAID


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit", rich_help_panel=RUNNING)(audit)


@asks_api
def audit(
    session: Session,
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="The journey's key; else of all journeys.")] = None,
    profile: ProfileId = None,
    external_id: ExternalId = None,
    email: Email = None,
    limit: Limit = 100,
) -> None:
    """List who published, paused, resumed, moved, changed, stopped or took somebody out, and when; the latest first.

    What happened by itself, a planned resumption or a window that ended, is done by wend.

    Example: wend audit product-launch --limit 20
    """
    whom = None
    if any(each is not None for each in (profile, external_id, email)):
        whom = find_profile(session.api, *chosen_identity(profile, external_id, email))
    found, more = session.api.listing("audit", limit=limit, journey=key, profile_id=whom)
    session.output.show(found, draw_audit)
    if more:
        session.output.note("There are more: --limit")


def say_deed(record: Mapping[str, Any]) -> str:
    """Return in words what an action consisted of: what was chosen, and how many it concerned."""
    detail = record["detail"]
    match record["action"]:
        case "pause" if "entries" not in detail:
            return f"is to go on at {instant(detail['resume_at'])}"
        case "pause":
            until = f", until {instant(detail['resume_at'])}" if detail.get("resume_at") else ""
            return f"{detail['inside']:,} inside; entries: {detail['entries']}, waits: {detail['waits']}{until}"
        case "resume":
            return f"{detail['held']:,} held, {detail['rate']:,} per second"
        case "move":
            mapped = "".join(f", {clean(old)} → {clean(new)}" for old, new in detail["steps"].items())
            return f"{detail['runs']:,} run(s) to version {detail['to']}, {detail['rate']:,} per second{mapped}"
        case "close" | "stop":
            return f"{detail['inside']:,} inside"
        case "exit" if record["run_id"] is not None:
            return f"profile {record['profile_id']} out of run {record['run_id']}"
        case "exit":
            return f"profile {record['profile_id']} out of {detail['runs']:,} run(s)"
        case "adjust" if "message" in detail:
            return f"{clean(detail['message'])}: its version {detail['message_version']}"
        case "adjust":
            return ", ".join(
                f"rate {detail['rate']:,}/s" if field == "rate" else clean(field) for field in detail["changed"]
            )
        case "settle":
            told = f": {clean(detail['reason'])}" if detail.get("reason") else ""
            return f"message {clean(detail['message_id'])} as {clean(detail['as'])}{told}"
        case "resend":
            return f"message {clean(detail['message_id'])}"
        case "reconcile":
            return f"{detail['repaired']:,} mended: {clean(SAID[detail['kind']])}"
        case "take_in":
            return f"{clean(detail['occurrence'])}, which was {clean(detail['was'])}"
        case _:
            return say_value(detail) if detail else ""


def _row(record: Mapping[str, Any]) -> tuple[Any, ...]:
    action = record["action"].replace("_", " ")
    return (moment(record["at"]), record["by"], action, record["journey"], record["version"], say_deed(record))


_COLUMNS = ("at (UTC)", "by", "action", "journey", "version#", "what")


def draw_audit(records: list[dict[str, Any]]) -> RenderableType:
    """Return records as a table."""
    return listing(_COLUMNS, _row, "Nobody did anything yet.")(records)
