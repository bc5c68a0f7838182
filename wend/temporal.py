"""Temporal: connection, ids, search attributes. What an operator reads there, without any person's data in it."""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.common import Priority, SearchAttributeKey, SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode

from wend.errors import Unavailable

TASK_QUEUE = "wend"
"""Where workflows and their activities wait; one queue, so that an activity can start with its workflow's task."""

ENTRY_FIRST = Priority(priority_key=1)
"""Of entries and their activities: they do not queue behind the runs of those who entered before."""

JOURNEY = SearchAttributeKey.for_keyword("WendJourney")
VERSION = SearchAttributeKey.for_int("WendVersion")
PROFILE = SearchAttributeKey.for_keyword("WendProfile")
ENTRY = SearchAttributeKey.for_keyword("WendEntry")
SCHEDULED_AT = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")

_RUN_WORKFLOW_ID = re.compile(
    r"run/(?P<journey>[^/]+)/(?P<profile>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/(?P<number>[1-9][0-9]{0,8})"
)

SEARCH_ATTRIBUTES: Mapping[str, IndexedValueType.ValueType] = {
    JOURNEY.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    VERSION.name: IndexedValueType.INDEXED_VALUE_TYPE_INT,
    PROFILE.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
    ENTRY.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
}


def run_workflow_id(journey: str, profile_id: UUID, entry_number: int) -> str:
    """Return the id of a run's workflow."""
    return f"run/{journey}/{profile_id}/{entry_number}"


def parse_run_workflow_id(workflow_id: str) -> tuple[str, UUID, int]:
    """Return the journey, the profile and the entry number that a run's workflow id names.

    Raises:
        ValueError: It is not the id of a run's workflow.
    """
    found = _RUN_WORKFLOW_ID.fullmatch(workflow_id)
    if found is None:
        raise ValueError(f"{workflow_id!r} is not the id of a run's workflow; those are run/JOURNEY/PROFILE/NUMBER")
    return found["journey"], UUID(found["profile"]), int(found["number"])


def entry_workflow_id(journey: str, occurrence: str | None) -> str:
    """Return the id of a segment entry's workflow, to which Temporal adds the firing's instant.

    Args:
        journey: The journey's key.
        occurrence: The only occurrence's key; ``None`` where the schedule repeats.
    """
    return f"entry/{journey}/{occurrence or 'repeating'}"


def schedule_id(journey: str) -> str:
    """Return the id of a journey's Temporal Schedule."""
    return f"entry/{journey}"


def run_attributes(journey: str, version: int, profile_id: UUID, entry_id: UUID) -> TypedSearchAttributes:
    """Return what a run can be searched by."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(JOURNEY, journey),
            SearchAttributePair(VERSION, version),
            SearchAttributePair(PROFILE, str(profile_id)),
            SearchAttributePair(ENTRY, str(entry_id)),
        ]
    )


def entry_attributes(journey: str) -> TypedSearchAttributes:
    """Return what an entry can be searched by."""
    return TypedSearchAttributes([SearchAttributePair(JOURNEY, journey)])


async def connect(address: str | None = None, **options: Any) -> Client:
    """Connect as the standard ``TEMPORAL_*`` environment or profile file says.

    Args:
        address: Overrides the environment's.
        options: Passed on to the SDK.

    Raises:
        Unavailable: No server answers there.
    """
    config = ClientConfig.load_client_connect_config()
    if address is not None:
        config["target_host"] = address
    config.setdefault("target_host", "127.0.0.1:7233")
    target = config["target_host"]
    try:
        return await Client.connect(**config, data_converter=pydantic_data_converter, **options)
    except (RuntimeError, RPCError) as error:
        raise Unavailable(f"Temporal at {target}", str(error).split("\n")[0][:300]) from error


async def ensure_search_attributes(client: Client) -> None:
    """Register Wend's search attributes where they are missing.

    Raises:
        Unavailable: The server refused.
    """
    operator = client.operator_service
    try:
        known = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=client.namespace))
        missing = {name: kind for name, kind in SEARCH_ATTRIBUTES.items() if name not in known.custom_attributes}
        if missing:
            await operator.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        if error.status != RPCStatusCode.ALREADY_EXISTS:
            raise Unavailable("Temporal's operator service", error.message) from error
