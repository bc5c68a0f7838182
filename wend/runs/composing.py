"""A message for one run: the published content, rendered for the profile as it is now, with tracked links."""

from dataclasses import dataclass
from threading import Lock
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from wend.channels.port import OutgoingEmail, OutgoingSms
from wend.journeys.facts import ProfileView
from wend.journeys.results import Send
from wend.messages import store as message_store
from wend.messages.content import EmailContent, SmsContent
from wend.messages.context import MessageContext, ProfileContext, RunContext
from wend.messages.links import render
from wend.messages.tokens import TokenKeys
from wend.messages.tracking import RenderedLink


@dataclass(frozen=True, slots=True)
class Composed:
    """A rendered message and where its tracked links lead."""

    message: OutgoingEmail | OutgoingSms
    links: tuple[RenderedLink, ...]


class Composer:
    """Renders messages.

    Args:
        keys: Sign the tokens of tracked links.
        public_url: Where ``/c/{token}`` answers, as recipients reach it; no slash at the end.
    """

    def __init__(self, keys: TokenKeys, public_url: str) -> None:
        self._keys = keys
        self._public_url = public_url.rstrip("/")
        self._known: dict[tuple[str, int], EmailContent | SmsContent] = {}
        self._lock = Lock()

    def compose(
        self,
        connection: Connection,
        run: sa.Row[Any],
        profile: ProfileView,
        plan: Send,
        address: str,
        message_version: int,
    ) -> Composed:
        """Return the message that this send is.

        Raises:
            RenderError: It does not render for this profile.
        """
        content = self._content(connection, plan.message, message_version)
        context = MessageContext(
            ProfileContext(profile.id, profile.attributes, profile.identities, profile.time_zone),
            RunContext(run.id, run.journey_key, run.properties),
        )

        def track(number: int, destination: str) -> str:
            return f"{self._public_url}/c/{self._keys.sign(plan.message_id, number)}"

        rendered = render(content, context, track)
        message: OutgoingEmail | OutgoingSms
        if isinstance(content, EmailContent):
            message = OutgoingEmail(
                plan.message_id,
                address,
                content.sender,
                content.reply_to,
                rendered.subject or "",
                rendered.html or "",
                rendered.text,
            )
        else:
            message = OutgoingSms(plan.message_id, address, content.sender, rendered.text)
        return Composed(message, rendered.links)

    def _content(self, connection: Connection, key: str, number: int) -> EmailContent | SmsContent:
        known = self._known.get((key, number))
        if known is None:
            known = message_store.get_version(connection, key, number)
            with self._lock:
                if len(self._known) >= 1000:
                    self._known.pop(next(iter(self._known)))
                self._known[key, number] = known
        return known
