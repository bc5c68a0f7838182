"""The chaos ring: the whole system as processes, faults by a seeded plan, and what must hold afterwards."""
