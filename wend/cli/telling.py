"""A run in words: what happened, when, and why, from the JSON that the API answers."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from wend.cli.output import clean, fields, instant, say_length, say_pairs, say_value, state

_SETTLED: Final[Mapping[str, str]] = {
    "accepted": "the message was accepted",
    "uncertain": "whether the message was accepted is not known; it is not sent again",
    "refused": "the message was refused",
    "gave_up": "the message could not be sent, however often it was tried",
    "no_address": "there is no address to send to",
}


def say_why(kind: str, why: Mapping[str, Any]) -> str:
    """Return in words why a run moved; ``kind`` and ``why`` are a move's."""
    match kind:
        case "entered":
            return "entered the journey"
        case "message_settled":
            said = _SETTLED.get(why["outcome"], f"the message is settled: {_plain(why['outcome'])}")
            return said + (f" ({clean(why['detail'])})" if why.get("detail") else "")
        case "waited":
            return f"the wait was over at {instant(why['until'])}"
        case "clicked":
            return f"clicked {_link(why)} at {instant(why['at'])}"
        case "happened":
            return f"{clean(why['name'])} happened at {instant(why['at'])}"
        case "timed_out" if why.get("sent_by"):
            return f"no click on {_link(why)} by {instant(why['deadline'])}"
        case "timed_out":
            return f"nothing came by {instant(why['deadline'])}"
        case "nothing_sent":
            return f"{clean(why['sent_by'])} sent nothing that could be clicked"
        case "matched":
            return f"case {why['case']} holds{_looked_at(why)}"
        case "no_match":
            return f"no case holds{_looked_at(why)}"
        case "no_date":
            return f"{_date_place(why)} is absent, or no date"
        case "updated":
            said = f"set {', '.join(map(clean, why['attributes'])) or 'nothing'}"
            missing = ", ".join(map(clean, why.get("missing", ())))
            return f"{said}; the run has no property for {missing}" if missing else said
        case "moved_out":
            return f"moved to version {why['to_version']}"
        case "moved_in":
            return f"came from version {why['from_version']}"
        case "ended":
            return f"ended: {_plain(why['reason'])}"
        case _:
            return _plain(kind) + (f" ({say_value(dict(why))})" if why else "")


def say_late(late_by: str) -> str:
    """Return by how much a click missed its deadline; ``late_by`` is ISO 8601."""
    from pydantic import TypeAdapter

    return say_length(TypeAdapter(timedelta).validate_python(late_by))


def draw_run(run: Mapping[str, Any]) -> RenderableType:
    """Return a run with its whole path as a timeline."""
    head = {
        "journey": f"{run['journey']}, version {run['version']}",
        "profile": run["profile_id"],
        "entry": f"{run['entry_id']} (entry number {run['entry_number']})",
        "workflow": run["workflow_id"],
        "Temporal UI": run.get("workflow_url"),
        "properties": say_pairs(run["properties"]),
    }
    shown = {name: value for name, value in head.items() if value}
    return Group(Text(f"Run {run['id']}", "bold"), fields({**shown, "state": _standing(run)}), Text(), _timeline(run))


def _standing(run: Mapping[str, Any]) -> Text:
    said = state(run["state"])
    if run["reason"] and run["reason"] != run["state"]:
        said.append(f": {_plain(run['reason'])}")
    if run["error"]:
        said.append(f" ({clean(run['error'])})")
    if run["ended_at"]:
        said.append(f" since {instant(run['ended_at'])}")
    elif run["step"]:
        said.append(f" at {clean(run['step'])}")
        if run["held_at"]:
            said.append(f", held since {instant(run['held_at'])}")
        elif run["parked_until"]:
            said.append(f", until {instant(run['parked_until'])} at the latest")
    return said


def _timeline(run: Mapping[str, Any]) -> Table:
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    drawn.add_column("time", no_wrap=True)
    drawn.add_column("from → to", overflow="fold")
    drawn.add_column("why", overflow="fold")
    lines = sorted([*_message_lines(run), *_click_lines(run), *_move_lines(run)], key=lambda line: line[:2])
    for at, _, where, said in lines:
        drawn.add_row(Text(instant(at.isoformat())), where, said)
    if not lines:
        drawn.add_row(Text(instant(run["created_at"])), Text(), Text("to be started", "dim"))
    return drawn


_Line = tuple[datetime, float, Text, Text]
"""When; its place among what has the same instant, in numbers of moves; where; what."""


def _move_lines(run: Mapping[str, Any]) -> Iterator[_Line]:
    for move in run["moves"]:
        way = Text(f"{clean(move['from_step'] or '·')} → ").append(clean(move["to_step"]), "bold")
        yield _at(move["at"]), move["number"], way, Text(say_why(move["why_kind"], move["why"]))


def _message_lines(run: Mapping[str, Any]) -> Iterator[_Line]:
    for sent in run["messages"]:
        said = Text(f"{sent['channel']} {clean(sent['message'])} ", "cyan").append_text(state(sent["state"]))
        details = [
            _plain(sent["reason"] or ""),
            clean(sent["detail"] or ""),
            f"{sent['tries']} attempts" if sent["tries"] > 1 else "",
            f"the provider calls it {clean(sent['reference'])}" if sent["reference"] else "",
        ]
        if told := ", ".join(detail for detail in details if detail):
            said.append(f" ({told})")
        yield (
            _at(sent["settled_at"] or sent["claimed_at"]),
            _arrival(run, sent["step"]) + 0.5,
            Text(f"  {clean(sent['step'])}", "dim"),
            said,
        )


def _click_lines(run: Mapping[str, Any]) -> Iterator[_Line]:
    steps = {sent["id"]: sent["step"] for sent in run["messages"]}
    clicked = {move["why"]["event_id"]: move["number"] for move in run["moves"] if move["why_kind"] == "clicked"}
    for click in run["clicks"]:
        said = Text(f"click on {_link(click)}", "cyan")
        if not click["counted"]:
            said.append(f", not counted: {_plain(click['note'] or 'no reason given')}", "dim")
        elif click["late_by"] is not None:
            said.append(f", late by {say_late(click['late_by'])}: it changed nothing", "yellow")
        step = steps.get(click["message_id"], "")
        place = clicked.get(click["id"], _arrival(run, step) + 1.5) - 0.25
        yield _at(click["at"]), place, Text(f"  {clean(step)}", "dim"), said


def _arrival(run: Mapping[str, Any], step: str) -> int:
    """Return the number of the run's first move to the step."""
    return next((int(move["number"]) for move in run["moves"] if move["to_step"] == step), 0)


def _link(where: Mapping[str, Any]) -> str:
    return clean(where.get("link") or "any link")


def _date_place(why: Mapping[str, Any]) -> str:
    if "property" in why:
        return f"the run's property {clean(why['property'])}"
    return f"the attribute {clean(why['attribute'])}"


def _looked_at(why: Mapping[str, Any]) -> str:
    return f" ({say_value(dict(why['values']))})" if why.get("values") else ""


def _plain(word: str) -> str:
    return clean(word).replace("_", " ")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
