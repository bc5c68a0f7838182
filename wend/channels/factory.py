"""From settings to channels."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import assert_never

from wend.channels.console import ConsoleEmailChannel, ConsoleSmsChannel
from wend.channels.http_sms import HttpSmsChannel
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.channels.port import EmailChannel, Outcome, OutgoingEmail, OutgoingSms, SmsChannel
from wend.channels.settings import ChannelSettings
from wend.channels.smtp import SmtpEmailChannel


@dataclass(frozen=True)
class Channels:
    """The channels of one process; made for one event loop, closed by `aclose`."""

    email: EmailChannel
    sms: SmsChannel
    closers: tuple[Callable[[], Awaitable[None]], ...] = ()

    async def send(self, message: OutgoingEmail | OutgoingSms, timeout: timedelta) -> Outcome:
        """Return what became of a message, within ``timeout`` from connecting to the answer."""
        if isinstance(message, OutgoingEmail):
            return await self.email.send(message, timeout=timeout)
        return await self.sms.send(message, timeout=timeout)

    async def aclose(self) -> None:
        """End every connection that a channel keeps."""
        for close in self.closers:
            await close()


def channels_from_settings(settings: ChannelSettings) -> Channels:
    """Return the channels that the settings name; nothing is connected before the first message."""
    closers: list[Callable[[], Awaitable[None]]] = []
    email: EmailChannel
    sms: SmsChannel
    match settings.email:
        case "smtp":
            email = smtp = SmtpEmailChannel(settings.smtp)
            closers.append(smtp.aclose)
        case "console":
            email = ConsoleEmailChannel()
        case "memory":
            email = MemoryEmailChannel()
        case _:
            assert_never(settings.email)
    match settings.sms:
        case "http":
            sms = http = HttpSmsChannel(settings.http_sms)
            closers.append(http.aclose)
        case "console":
            sms = ConsoleSmsChannel()
        case "memory":
            sms = MemorySmsChannel()
        case _:
            assert_never(settings.sms)
    return Channels(email, sms, tuple(closers))
