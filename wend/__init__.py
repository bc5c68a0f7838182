"""Customer journeys as durable workflows."""
