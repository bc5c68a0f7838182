"""States, plans and moves to and from JSON."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from wend.journeys.results import Clicks, Events, Finish, Park, Plan, Send, Why
from wend.journeys.state import RunState

_states: TypeAdapter[RunState] = TypeAdapter(RunState)
_plans: TypeAdapter[Plan] = TypeAdapter(Annotated[Send | Park | Finish, Field(discriminator="kind")])
_whys: TypeAdapter[Why] = TypeAdapter(Annotated[Why, Field(discriminator="kind")])
_listens: TypeAdapter[Clicks | Events] = TypeAdapter(Annotated[Clicks | Events, Field(discriminator="kind")])


def dump_state(state: RunState) -> dict[str, Any]:
    """Return the state as JSON."""
    document: dict[str, Any] = _states.dump_python(state, mode="json", exclude_defaults=True)
    return document


def load_state(document: Any) -> RunState:
    """Return the state; nothing stored is a run that has not begun."""
    return _states.validate_python(document) if document else RunState()


def dump_plan(plan: Plan) -> dict[str, Any]:
    """Return the plan as JSON."""
    document: dict[str, Any] = _plans.dump_python(plan, mode="json", exclude_none=True)
    if isinstance(plan, Park):
        if not plan.exits:
            del document["exits"]
        if not plan.held:
            del document["held"]
    return document


def load_plan(document: Any) -> Plan:
    """Return the plan."""
    return _plans.validate_python(document)


def dump_why(why: Why) -> dict[str, Any]:
    """Return the reason of a move as JSON, without its kind, which is stored beside it."""
    document: dict[str, Any] = _whys.dump_python(why, mode="json", exclude_defaults=True)
    document.pop("kind", None)
    return document


def load_why(kind: str, document: Any) -> Why:
    """Return the reason of a move."""
    return _whys.validate_python({**document, "kind": kind})


def dump_listens(listens: Clicks | Events | None) -> dict[str, Any] | None:
    """Return what a park listens to as JSON."""
    return None if listens is None else _listens.dump_python(listens, mode="json")


def load_listens(document: Any) -> Clicks | Events | None:
    """Return what a park listens to."""
    return None if document is None else _listens.validate_python(document)
