"""The relay: carries the outbox to Temporal. It may die anywhere; what it tells may be told twice.

``loop`` takes parcels and marks them, ``telling`` says each to Temporal by its kind, ``sweeping`` looks for what nobody
has told of.
"""

from wend.relay.loop import Relay, run_until
from wend.relay.telling import StartStillComing

__all__ = ["Relay", "StartStillComing", "run_until"]
