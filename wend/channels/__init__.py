"""The way out: e-mail and text messages through one port each, and the adapters behind it."""

from wend.channels.factory import Channels, channels_from_settings
from wend.channels.port import (
    Accepted,
    EmailChannel,
    NotAccepted,
    Outcome,
    OutgoingEmail,
    OutgoingSms,
    Refused,
    SmsChannel,
    Unknown,
)
from wend.channels.settings import ChannelSettings

__all__ = [
    "Accepted",
    "ChannelSettings",
    "Channels",
    "EmailChannel",
    "NotAccepted",
    "Outcome",
    "OutgoingEmail",
    "OutgoingSms",
    "Refused",
    "SmsChannel",
    "Unknown",
    "channels_from_settings",
]
