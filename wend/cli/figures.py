"""A journey as it stands, in words and tables: its state, its pause, its next occurrences, its figures."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from wend.cli.entries import say_excluded
from wend.cli.output import clean, fields, instant, moment, say_value, state, table


def draw_journey(journey: Mapping[str, Any]) -> RenderableType:
    """Return a journey with its figures, which stand in it as ``figures``."""
    figures = journey["figures"]
    of = f"of version {figures['version']}" if figures["version"] else "of all versions"
    columns = ["step", "entered#", "here now#", "left, by why", "messages", "clicks"]
    return Group(
        Text(f"Journey {journey['key']}: {clean(journey['name'])}", "bold"),
        fields(_standing(journey)),
        *draw_coming(journey["next_occurrences"], "Next occurrences"),
        Text(f"\nFigures {of}", "bold"),
        fields(_counts(figures)),
        Text(),
        table(columns, [_step_row(each) for each in figures["steps"]]),
    )


def draw_coming(coming: list[dict[str, Any]], title: str, nothing: str | None = None) -> list[RenderableType]:
    """Return a heading and a table of occurrences, with what the clocks do at them; ``nothing`` where none comes."""
    from wend.journeys.model import load_zone
    from wend.journeys.walltime import say_instant

    if not coming:
        return [Text(), Text(nothing)] if nothing else []
    rows = [
        (each["key"], moment(each["at"]), say_instant(datetime.fromisoformat(each["at"]), load_zone(each["time_zone"])))
        for each in coming
    ]
    columns = ["occurrence", "instant (UTC)", f"in {clean(coming[0]['time_zone'])}"]
    if not any(each["note"] for each in coming):
        return [Text(), Text(title, "bold"), table(columns, rows)]
    notes = [Text(clean(each["note"] or ""), "yellow") for each in coming]
    marked = table([*columns, "the clocks change"], [(*row, note) for row, note in zip(rows, notes, strict=True)])
    return [Text(), Text(title, "bold"), marked]


def say_pause(pause: Mapping[str, Any], resume_at: str | None) -> str:
    """Return what was chosen for a pause: what becomes of entries and of waits, and when it ends."""
    entries = {"drop": "nobody enters meanwhile", "queue": "who would enter is queued"}[pause["entries"]]
    waits = {"run": "waits run on", "freeze": "waits are frozen"}[pause["waits"]]
    until = f"until {instant(resume_at)}" if resume_at else "until it is resumed"
    return f"{until}; {entries}, {waits}"


def _standing(journey: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"state": state(journey["state"])}
    if journey["description"]:
        said["description"] = journey["description"]
    if journey["pause"] is not None:
        since = instant(journey["pause"]["since"])
        said["paused"] = f"since {since}, {say_pause(journey['pause'], journey['resume_at'])}"
    said |= {
        "version": journey["version"] or "none is published",
        "first published": instant(journey["first_published_at"]),
    }
    if journey["closes_at"] is not None:
        said["window"] = f"nobody enters from {instant(journey['closes_at'])} on"
    if journey["rate"] is not None:
        said["rate"] = f"{journey['rate']}, whatever the version says"
    return said


def _counts(figures: Mapping[str, Any]) -> dict[str, Any]:
    counts = {
        "members": figures["members"],
        "entered": figures["entered"],
        "excluded": say_excluded(figures["excluded"]),
    }
    # Over all versions the two are the same, and say nothing of who is inside.
    if figures["version"] and (figures["moved_in"] or figures["moved_out"]):
        counts["moved"] = f"{figures['moved_in']:,} came from another version, {figures['moved_out']:,} went to another"
    return {
        **counts,
        "inside": _inside(figures),
        "ended": say_counts(figures["outcomes"]),
        "messages": say_counts(figures["messages"]),
        "clicks": say_counts(figures["clicks"]),
    }


def _inside(figures: Mapping[str, Any]) -> str:
    some = {"have not begun": figures["pending"], "are held before their next send": figures["held"]}
    told = ", ".join(f"{count:,} {what}" for what, count in some.items() if count)
    return f"{figures['inside']:,}" + (f" ({told})" if told else "")


def _step_row(step: Mapping[str, Any]) -> tuple[Any, ...]:
    left, sent, clicks = (say_counts(step[name]) for name in ("left", "messages", "clicks"))
    return (step["step"], step["entered"], step["here"], left, sent, clicks)


def say_counts(counts: Mapping[str, int]) -> str:
    """Return counts by name: ``clicked 3, timed out 1``."""
    return say_value({name.replace("_", " "): count for name, count in counts.items()})
