"""``wend try``: one sample person through the short journey, over the API, and where to look then."""

import os
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import httpx2

from wend.cli.client import headers_of
from wend.cli.people import Invented, invent
from wend.cli.sampling import TO_TRY
from wend.cli.screen import LINK, own_command, say
from wend.cli.session import DEFAULT_URL, actor, api_token
from wend.cli.state import Addresses
from wend.errors import Conflict, Unavailable

DELIVERED_WITHIN = 30.0
MOST_TRIED = 20


def send_somebody(addresses: Addresses) -> None:
    """Start a run for the first sample person who is not in the journey, and print where it can be seen.

    Raises:
        Unavailable: No Wend answers there.
        Conflict: It does not have the samples, or everybody who was tried is inside.
    """
    headers = httpx2.Headers(headers_of(api_token(), actor()), encoding="utf-8")
    with httpx2.Client(timeout=10, trust_env=False, headers=headers) as client:
        try:
            seen = _newest(client, addresses)
            person, run = _start(client, addresses)
            mail = _wait_for_mail(client, addresses, person, seen)
        except httpx2.TransportError as error:
            raise Unavailable(f"Wend at {addresses.api}", f"{error} (to start it: wend up)") from error
    first_name = person.profile.attributes["first_name"]
    say(f"{first_name} ({person.profile.identities['email']}) is on the way through {TO_TRY!r}.\n")
    say(f"  the mail            {mail or addresses.inbox}")
    if workflow := addresses.workflow_url(run["workflow_id"]):
        say(f"  the workflow        {workflow}")
    say(f"  the run             {addresses.api}/v1/runs/{run['id']}")
    elsewhere = "" if addresses.api == (os.environ.get("WEND_API_URL") or DEFAULT_URL) else f" --api {addresses.api}"
    say(f"  its path in words   {own_command()} run {run['id']}{elsewhere}")
    say(f"\nClick {LINK!r} in the mail: the text message is in the inbox some seconds later.")


def _start(client: httpx2.Client, addresses: Addresses) -> tuple[Invented, dict[str, Any]]:
    for person in islice(_reachable(), MOST_TRIED):
        who = {"namespace": "external_id", "value": person.profile.external_id}
        answer = client.post(f"{addresses.api}/v1/journeys/{TO_TRY}/runs", json={"profile": who})
        if answer.status_code == httpx2.codes.ACCEPTED:
            run: dict[str, Any] = client.get(f"{addresses.api}/v1/runs/{answer.json()['id']}").json()
            return person, run
        problem = answer.json()
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            raise Conflict("The API asks for a key: set WEND_API_TOKEN to the one that it was started with.")
        if answer.status_code == httpx2.codes.NOT_FOUND:
            raise Conflict(
                f"{problem['detail']} This Wend runs without samples, or without all of them; "
                "start it with them: wend up"
            )
        if problem["type"] != "urn:wend:problem:still-inside":
            raise Conflict(problem["detail"])
    raise Conflict(f"The first {MOST_TRIED} sample people are all inside. Click the links in their mails.")


def _reachable() -> Iterator[Invented]:
    """Yield sample people with an address and a number."""
    return (each for each in invent(100, 0) if {"email", "phone"} <= each.profile.identities.keys())


def _newest(client: httpx2.Client, addresses: Addresses) -> int:
    """Return the number of messages in the inbox: later ones have greater ids."""
    newest = 0
    if addresses.inbox is None:
        return newest
    while True:
        page = client.get(f"{addresses.inbox}/api/messages", params={"since": newest, "limit": 1000}).json()
        newest = page["items"][-1]["id"] if page["items"] else newest
        if page["next_since"] is None:
            return newest


def _wait_for_mail(client: httpx2.Client, addresses: Addresses, person: Invented, since: int) -> str | None:
    """Return where the person's mail can be read; None if it is not there after a while."""
    if addresses.inbox is None:
        return None
    wanted: dict[str, str | int] = {"to": person.profile.identities["email"] or "", "channel": "email", "since": since}
    deadline = time.monotonic() + DELIVERED_WITHIN
    while time.monotonic() < deadline:
        for item in client.get(f"{addresses.inbox}/api/messages", params=wanted).json()["items"]:
            return f"{addresses.inbox}/messages/{item['id']}"
        time.sleep(0.2)
    return None
