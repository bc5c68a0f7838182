"""What a journey uses of what its runs are started with."""

from tests.unit.journeys.kernel import journey
from wend.journeys.definition import JourneyDefinition
from wend.journeys.properties import properties_used


def test_every_use_is_found_with_its_place() -> None:
    version = journey("""
  - id: size
    type: if
    cases:
      - when: {attribute: plan, op: eq, value: gold}
        next: exit
      - when: {any: [{property: order.total, op: gte, value: 100}, {not: {property: order.gift, op: exists}}]}
        next: mark
  - {id: mark, type: update_profile, set: {a: 1}, set_from: {last: {property: order.id}}}
  - {id: before, type: wait_until, property: flight.departs_at, on_missing: exit}
  - {id: launch, type: wait_until, at: 2026-12-10T09:00}
  - {id: shipped, type: wait_for_event, event: shipped, within: P7D,
     where: [{attribute: parcels, op: gt, value: 0}, {attribute: order, op: eq, value: {property: order.id}}]}
""")
    assert properties_used(version.definition) == [
        ("steps.size.cases.1.when", "order.gift"),
        ("steps.size.cases.1.when", "order.total"),
        ("steps.mark.set_from.last", "order.id"),
        ("steps.before.property", "flight.departs_at"),
        ("steps.shipped.where.1.value", "order.id"),
    ]


def test_a_value_that_stands_for_a_property_is_written_out_as_it_was_read() -> None:
    version = journey("""
  - {id: mark, type: update_profile, set: {literal: {property: order.id}}, set_from: {last: {property: order.id}}}
  - {id: shipped, type: wait_for_event, event: shipped, within: P7D,
     where: [{attribute: order, op: eq, value: {property: order.id}}]}
""")
    document = version.definition.document()
    mark, shipped = document["steps"]
    assert mark["set"] == {"literal": {"property": "order.id"}}
    assert mark["set_from"] == {"last": {"property": "order.id"}}
    assert shipped["where"] == [{"attribute": "order", "op": "eq", "value": {"property": "order.id"}}]
    assert JourneyDefinition.model_validate(document) == version.definition
