"""Channels that print, for trying a journey without any server."""

import sys
from datetime import timedelta
from typing import TextIO

from wend.channels.port import Accepted, Outcome, OutgoingEmail, OutgoingSms


class ConsoleEmailChannel:
    """Prints each e-mail, recipient and content included, and accepts it."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out

    async def send(self, email: OutgoingEmail, *, timeout: timedelta) -> Outcome:
        """Return Accepted once the e-mail is printed."""
        head = f"── e-mail {email.message_id}\nFrom: {email.sender}\nTo: {email.to}\nSubject: {email.subject}"
        print(f"{head}\n\n{email.text or email.html}\n", file=self._out or sys.stdout, flush=True)
        return Accepted(f"console/{email.message_id}")


class ConsoleSmsChannel:
    """Prints each text message, recipient included, and accepts it."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out

    async def send(self, sms: OutgoingSms, *, timeout: timedelta) -> Outcome:
        """Return Accepted once the text message is printed."""
        head = f"── SMS {sms.message_id}\nFrom: {sms.sender or '(default)'}\nTo: {sms.to}"
        print(f"{head}\n\n{sms.text}\n", file=self._out or sys.stdout, flush=True)
        return Accepted(f"console/{sms.message_id}")
