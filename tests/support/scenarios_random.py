"""Made-up scenarios: small journeys of every step type, and things that happen on the way.

Waits last whole hours, and each event has a minute of its own, so that nothing falls due in the instant of another: who
comes first is then the same on every engine.
"""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from tests.support.scenarios import ORDINARY_START, Scenario

JOURNEY = "made-up"
LINKS = ("one", "two")
MESSAGES = {
    "mail": {
        "channel": "email",
        "subject": "Mail",
        "from": "shop@example.com",
        "html": "".join(f'<a data-link="{link}" href="https://example.com/{link}">{link}</a>' for link in LINKS),
    },
    "text": {"channel": "sms", "text": "Text"},
}
SEGMENTS = {"club": {"members": []}, "extras": {"rule": {"attribute": "plan", "op": "eq", "value": "extra"}}}
Document = dict[str, Any]

hours = st.integers(1, 30).map(lambda count: f"PT{count}H")
names = st.sampled_from(["order", "visit"])
plans = st.sampled_from(["basic", "extra", None])
conditions: st.SearchStrategy[Document] = st.one_of(
    st.just({"attribute": "plan", "op": "eq", "value": "extra"}),
    st.just({"attribute": "plan", "op": "ne", "value": "extra"}),
    st.just({"not": {"attribute": "plan", "op": "exists"}}),
    st.just({"property": "order.total", "op": "gte", "value": 2}),
    st.just({"segment": "club"}),
    st.just({"segment": "extras"}),
    # Half an hour: never the very age of an event when the branch looks.
    st.builds(lambda name, count: {"event": name, "within": f"PT{count}H30M"}, names, st.integers(0, 20)),
)


KINDS = [*["click"] * 3, *["event"] * 2, *["if"] * 2, "wait", "until", "attribute", "update", "email", "sms"]


@st.composite
def _step(draw: st.DrawFn, id: str, below: list[str]) -> Document:
    """A step that goes on to the one below or, where it branches, to any further one."""
    further = st.sampled_from(below)
    step: Document = {"id": id}
    match draw(st.sampled_from(KINDS)):
        case "wait":
            return step | {"type": "wait", "for": draw(hours), "since": draw(st.sampled_from(["arrival", "entry"]))}
        case "until":
            at = ORDINARY_START + timedelta(hours=draw(st.integers(0, 60)))
            return step | {"type": "wait_until", "at": f"{at:%Y-%m-%dT%H:%M}Z"}
        case "attribute":
            source = draw(st.sampled_from([{"attribute": "slot"}, {"property": "order.slot"}]))
            return step | {"type": "wait_until", "on_missing": draw(further), **source}
        case "click":
            link = draw(st.sampled_from([{"link": "one"}, {"link": "two"}, {}]))
            away = draw(st.sampled_from(["on_click", "on_timeout"]))
            wait = {"type": "wait_for_click", "sent_by": "s0", "within": draw(hours), away: draw(further)}
            return step | wait | link
        case "event":
            wanted = draw(st.sampled_from([None, 2, {"property": "order.total"}]))
            where = [] if wanted is None else [{"attribute": "total", "op": "gte", "value": wanted}]
            away = draw(st.sampled_from(["on_event", "on_timeout"]))
            wait = {"type": "wait_for_event", "event": draw(names), "within": draw(hours), away: draw(further)}
            return step | wait | {"where": where, "since": draw(st.sampled_from(["arrival", "entry"]))}
        case "if":
            cases = [{"when": draw(conditions), "next": draw(further)} for _ in range(draw(st.integers(1, 2)))]
            return step | {"type": "if", "cases": cases, "else": below[0]}
        case "update":
            values = [{"set": {"plan": draw(plans)}}, {"set_from": {"plan": {"property": "order.plan"}}}]
            return step | {"type": "update_profile", **draw(st.sampled_from(values))}
        case "email":
            return step | {"type": "send_email", "message": "mail", "on_failure": draw(further)}
        case "sms":
            return step | {"type": "send_sms", "message": "text"}
        case kind:
            raise AssertionError(kind)


LAP: Document = {"type": "wait_for_event", "event": "visit", "since": "entry", "within": "PT20H"}
LOOP: list[Document] = [
    LAP | {"id": "lap", "on_event": "rest", "on_timeout": "exit"},
    {"id": "rest", "type": "wait", "for": "PT1H", "next": "lap"},
]
"""The end of some journeys: round and round, an event a lap."""


@st.composite
def _event(draw: st.DrawFn, number: int) -> Document:
    at = f"PT{draw(st.integers(0, 30))}H{7 * number + 3}M"
    match draw(st.sampled_from(["click", "click", "click", "event", "event", "update", "join"])):
        case "click":
            click = {"run": "anna", "step": "s0", "link": draw(st.sampled_from(LINKS))}
            by = draw(st.sampled_from(["person", "person", "person", "bot", "head"]))
            return {"at": at, "click": click, "by": by}
        case "event":
            properties = {"total": draw(st.integers(1, 3))}
            return {"at": at, "event": draw(names), "profile": "anna", "properties": properties}
        case "update":
            slot = ORDINARY_START + timedelta(hours=draw(st.integers(0, 60)))
            attributes = {"plan": draw(plans), "slot": draw(st.sampled_from([f"{slot:%Y-%m-%dT%H:%M}Z", None, "soon"]))}
            return {"at": at, "update": "anna", "attributes": attributes}
        case "join":
            return {"at": at, "join": "anna", "segment": "club"}
        case kind:
            raise AssertionError(kind)


@st.composite
def _pause(draw: st.DrawFn) -> list[Document]:
    """A pause, or none. It lasts whole hours, so that what it moves stays in a minute of its own."""
    begins, lasts = draw(st.integers(0, 30)), draw(st.integers(1, 30))
    pause = {"at": f"PT{begins}H58M", "pause": JOURNEY, "waits": draw(st.sampled_from(["run", "freeze"]))}
    return draw(st.sampled_from([[], [pause, {"at": f"PT{begins + lasts}H58M", "resume": JOURNEY}]]))


@st.composite
def _ways_out(draw: st.DrawFn) -> Document:
    """What ends a run wherever it is: seldom, and not at the very instant at which a wait is over."""
    exits = {"exit_on": [{"event": "order", "where": [{"attribute": "total", "op": "gte", "value": 3}]}]}
    return draw(st.sampled_from([{}, {}, {}, exits, {"max_age": "PT20H1M"}]))


@st.composite
def _properties(draw: st.DrawFn) -> Document:
    """What the run is started with, if anything."""
    slot = ORDINARY_START + timedelta(hours=draw(st.integers(0, 60)))
    order = {"total": draw(st.integers(1, 3)), "plan": draw(plans), "slot": f"{slot:%Y-%m-%dT%H:%M}Z"}
    return draw(st.sampled_from([{}, {"order": order}]))


@st.composite
def made_up(draw: st.DrawFn) -> Scenario:
    """A scenario that expects nothing: its journey begins with a message, and what happens happens to one person."""
    loop = draw(st.sampled_from([[], LOOP]))
    ids = [f"s{number}" for number in range(1, draw(st.integers(2, 6)))]
    ways = [*ids, *(step["id"] for step in loop), "exit"]
    steps: list[Document] = [{"id": "s0", "type": "send_email", "message": "mail", "on_failure": "exit"}]
    steps += [draw(_step(id, ways[place:])) for place, id in enumerate(ids, start=1)]
    events: list[Document] = [draw(_event(number)) for number in range(draw(st.integers(1, 7)))]
    events += draw(_pause())
    if draw(st.integers(0, 7)) == 0:
        events.append({"at": "PT50H50M", "delete": "anna"})
    slot = draw(st.sampled_from([{}, {"slot": f"{ORDINARY_START + timedelta(hours=20):%Y-%m-%dT%H:%M}Z"}]))
    phone = draw(st.sampled_from([{}, {"phone": "+33612345678"}]))
    return Scenario.model_validate(
        {
            "name": "made up",
            "journeys": [
                {"key": JOURNEY, "name": "Made up", "steps": steps + loop, **draw(_ways_out())},
            ],
            "messages": MESSAGES,
            "segments": SEGMENTS,
            "profiles": {
                "anna": {
                    "identities": {"email": "anna@example.com", **phone},
                    "attributes": {"plan": draw(st.sampled_from(["basic", "extra"])), **slot},
                }
            },
            "provider": draw(st.sampled_from([{}, {"s0": ["uncertain"]}, {"s0": ["not_accepted"]}])),
            "events": [{"at": "PT0S", "start": "anna", "properties": draw(_properties())}, *events],
        }
    )
