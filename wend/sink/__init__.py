"""A local catcher of e-mail and text messages: the witness of what was really sent.

It stands outside of the ledger and knows nothing of journeys. It takes whatever comes over SMTP and HTTP, keeps every
copy, shows them in a browser and answers questions about them; told to, it misbehaves as providers do.
"""

from wend.sink.faults import Fault, Faults
from wend.sink.server import PortTaken, Sink
from wend.sink.store import Caught, Counts, Store, Stored

__all__ = ["Caught", "Counts", "Fault", "Faults", "PortTaken", "Sink", "Store", "Stored"]
