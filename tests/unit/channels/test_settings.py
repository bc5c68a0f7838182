import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from wend.channels import channels_from_settings
from wend.channels.console import ConsoleEmailChannel, ConsoleSmsChannel
from wend.channels.http_sms import HttpSmsChannel
from wend.channels.memory import MemoryEmailChannel, MemorySmsChannel
from wend.channels.port import Accepted, NotAccepted, OutgoingEmail, OutgoingSms, Refused, Unknown
from wend.channels.settings import ChannelSettings
from wend.channels.smtp import SmtpEmailChannel

MakeEmail = Callable[..., OutgoingEmail]


@pytest.mark.parametrize(
    ("settings", "email", "sms"),
    [
        ({}, SmtpEmailChannel, HttpSmsChannel),
        ({"email": "console", "sms": "console"}, ConsoleEmailChannel, ConsoleSmsChannel),
        ({"email": "memory", "sms": "memory"}, MemoryEmailChannel, MemorySmsChannel),
    ],
)
async def test_the_settings_choose_the_adapters(settings: dict[str, str], email: type, sms: type) -> None:
    channels = channels_from_settings(ChannelSettings.model_validate(settings))
    assert type(channels.email) is email
    assert type(channels.sms) is sms
    await channels.aclose()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"smtp": {"username": "a"}}, "belong together"),
        ({"smtp": {"username": "a", "password": "b", "host": "mail.example"}}, "needs security"),
        ({"smtp": {"domain": "mail example"}}, "not a domain name"),
        ({"smtp": {"security": "ssl"}}, "starttls"),
        ({"http_sms": {"url": "ftp://x"}}, "URL scheme"),
        ({"http_sms": {"url": "http://[x"}}, "URL"),
        ({"http_sms": {"body": {"to": "{to}", "text": "{body}"}}}, "unknown placeholders ['body']"),
        ({"http_sms": {"body": {"to": "{to}"}}}, "nothing says where ['text'] goes"),
        ({"http_sms": {"body": {"to": "{to}", "text": "{sender}: {text}"}}}, "{sender} stands alone"),
        ({"http_sms": {"body": {"to": ["{to}"], "text": "{text}"}, "encoding": "form"}}, "a form is flat"),
        ({"http_sms": {"success_statuses": [302]}}, "between 200 and 299"),
        ({"http_sms": {"safe_statuses": [429]}}, "between 500 and 599"),
        ({"http_sms": {"bearer_token": "x", "username": "a", "password": "b"}}, "exclude each other"),
        ({"fax": {}}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_say_why(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChannelSettings.model_validate(settings)
    assert complaint in str(refused.value)


def test_passwords_are_not_shown() -> None:
    settings = ChannelSettings.model_validate({"smtp": {"username": "a", "password": "hunter2"}})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()


async def test_the_console_prints_what_it_accepts(email: MakeEmail, sms: OutgoingSms, patient: timedelta) -> None:
    out = io.StringIO()
    assert isinstance(await ConsoleEmailChannel(out).send(email(), timeout=patient), Accepted)
    assert isinstance(await ConsoleSmsChannel(out).send(sms, timeout=patient), Accepted)
    assert "Subject: Something new" in out.getvalue()
    assert "launch day" in out.getvalue()


async def test_memory_answers_as_scripted_and_keeps_every_call(email: MakeEmail, patient: timedelta) -> None:
    channel = MemoryEmailChannel(lambda given: Refused("recipient_refused") if "eve" in given.to else None)
    channel.script(NotAccepted("rate_limited"), Unknown("timed_out"), RuntimeError("boom"))
    assert await channel.send(email(), timeout=patient) == NotAccepted("rate_limited")
    assert await channel.send(email(), timeout=patient) == Unknown("timed_out")
    with pytest.raises(RuntimeError, match="boom"):
        await channel.send(email(), timeout=patient)
    assert isinstance(await channel.send(email(), timeout=patient), Accepted)
    assert await channel.send(email(to="eve@example.org"), timeout=patient) == Refused("recipient_refused")
    assert len(channel.begun) == 5
    assert len(channel.calls) == 4
    assert channel.sent == [email()]


async def test_memory_may_answer_later(sms: OutgoingSms, patient: timedelta) -> None:
    async def think(given: OutgoingSms) -> Unknown:
        return Unknown("connection_lost")

    assert await MemorySmsChannel(think).send(sms, timeout=patient) == Unknown("connection_lost")
