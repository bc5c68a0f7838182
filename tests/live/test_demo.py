"""``wend demo``: the figures add up, also when Wend is killed in the middle; and where they do not, it says so."""

import os
import signal
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.support.eventually import assert_eventually
from tests.support.ports import lasting_port
from tests.support.programs import Program, assert_gone, descendants, in_words, program
from wend.cli.people import invent
from wend.cli.reader import is_curious, read_followed
from wend.cli.state import StateDirectory
from wend.cli.tally import Delivered, tally
from wend.storage.database import Database
from wend.storage.tables import moves, sent_messages

MEMBERS = 40
AT_MOST = timedelta(seconds=240)
EXCLUDED = {"excluded_segment": 2, "no_identity": 2}
ENTERED = MEMBERS - sum(EXCLUDED.values())
KEYS = {
    "members",
    "entered",
    "excluded",
    "emails",
    "clicks",
    "timeouts",
    "texts",
    "no_address",
    "uncertain",
    "outcomes",
}


def demo(directory: Path, port: int, members: int = MEMBERS) -> list[object]:
    return ["demo", "--json", "--members", members, "--window", 10, "--port", port, "--dir", directory]


def mailed(directory: Path) -> set[str]:
    """Return the addresses that the sink has mails for."""
    with closing(sqlite3.connect(f"file:{directory / 'sink.db'}?mode=ro", uri=True)) as sink:
        return {address for (address,) in sink.execute("SELECT recipient FROM message WHERE channel = 'email'")}


async def wend_that_has_mailed(directory: Path, running: Program, people: int) -> int:
    """Return the process id of the demo's Wend when it is ready, and so many people have been mailed."""

    def has_mailed() -> int:
        assert running.is_running, running.err
        assert (directory / "wend.pid").exists(), "it is started when the sink is there"
        pid = int((directory / "wend.pid").read_text())
        addresses = StateDirectory(directory).read_addresses()
        assert addresses is not None
        assert addresses.pid == pid
        assert len(mailed(directory)) >= people
        return pid

    return await assert_eventually(has_mailed, timeout=AT_MOST)


def assert_that_it_adds_up(result: dict[str, Any]) -> None:
    assert result.keys() >= KEYS
    assert result["consistent"] is True
    assert result["problems"] == []
    assert (result["members"], result["entered"], result["excluded"]) == (MEMBERS, ENTERED, EXCLUDED)
    assert result["clicks"] + result["timeouts"] == ENTERED
    assert result["outcomes"] == {"completed": ENTERED}
    assert ENTERED - result["uncertain"] <= result["emails"] <= ENTERED
    assert result["texts"] + result["no_address"] == result["clicks"]


def sends(directory: Path) -> Counter[str]:
    """Return the states of all sends."""
    url = StateDirectory(directory).database_url
    with closing(Database(url, read_only=True)) as database, database.read() as connection:
        return Counter(connection.scalars(sa.select(sent_messages.c.state)))


async def test_a_demo_that_is_stopped_goes_on_and_one_whose_wend_is_killed_too_and_the_figures_add_up(
    tmp_path: Path,
) -> None:
    directory, port = tmp_path / "demo", lasting_port()
    with program(tmp_path, *demo(directory, port)) as running:
        await wend_that_has_mailed(directory, running, people=1)
        started = descendants(running.process.pid)
        assert len(started) >= 4, "Temporal, sink, Wend, reader"
        running.signal(signal.SIGTERM)
        assert running.wait() == 130
        await assert_gone(started)
        assert f"--dir {directory}" in running.err
    assert sends(directory).keys() == {"accepted"}, "whoever is stopped finishes what it sends"
    before = mailed(directory)
    other = in_words(*demo(directory, port, members=7))
    assert other.exit_code == 1
    assert f"--members {MEMBERS}" in other.err

    (directory / "wend.pid").unlink()
    with program(tmp_path, *demo(directory, port)) as running:
        pid = await wend_that_has_mailed(directory, running, people=min(len(before) + 5, ENTERED))
        os.kill(pid, signal.SIGKILL)
        assert running.wait(AT_MOST) == 0, running.out + running.err
    result = running.json
    assert_that_it_adds_up(result)
    assert result["restarts"] == 1
    assert "was ended from outside; it runs again" in running.err
    people = [each for each in invent(MEMBERS, 0) if not each.employee and "email" in each.profile.identities]
    curious = [each for each in people if is_curious(each.profile.identities["email"] or "")]
    # Whoever was mailed before the demo stood still may have been too late afterwards.
    assert 1 <= result["clicks"] <= len(curious)

    see_that_it_sees(directory)

    with closing(sqlite3.connect(directory / "sink.db")) as sink, sink:
        sink.execute("DELETE FROM message WHERE id = 3")
    with program(tmp_path, *demo(directory, port)) as again:
        assert again.wait(AT_MOST) == 1
    assert again.json["consistent"] is False
    assert "email: accepted, but not in the sink: 1" in again.json["problems"][0]


def see_that_it_sees(directory: Path) -> None:
    """Have a finished demo counted with one thing wrong at a time."""
    followed = read_followed(directory / "followed.ndjson")
    with closing(Database(StateDirectory(directory).database_url, read_only=True)) as database:
        with database.read() as connection:
            rows = connection.execute(sa.select(sent_messages).where(sent_messages.c.state == "accepted")).all()
            by_click = connection.scalars(sa.select(moves.c.why).where(moves.c.why_kind == "clicked")).all()
        clicked = by_click[0]["message_id"]
        delivered = [Delivered(row.channel, str(row.id), row.address) for row in rows]

        def problems(delivered: list[Delivered], followed: dict[str, int]) -> list[str]:
            with database.read() as connection:
                return list(tally(connection, delivered, followed).problems)

        first, *others = delivered
        not_clicked = next(each.message_id for each in delivered if each.message_id not in followed)
        assert problems(delivered, followed) == []
        seen = {
            "accepted, but not in the sink: 1": (others, followed),
            "in the sink more than once: 1": ([*delivered, first], followed),
            "neither accepted nor uncertain: 1": ([*delivered, first._replace(message_id="x")], followed),
            "gone to another address": ([first._replace(recipient="who@example.com"), *others], followed),
            "did not redirect: 1": (delivered, {**followed, clicked: 404}),
            "redirected and then lost: 1": (delivered, {**followed, str(not_clicked): 302}),
            "a click that nobody made: 1": (delivered, {id: 302 for id in followed if id != clicked}),
        }
        for said, (theirs, clicks) in seen.items():
            assert any(said in problem for problem in problems(theirs, clicks)), said


def test_every_invented_person_is_invented() -> None:
    people = list(invent(900, 100))
    assert len({each.profile.external_id for each in people}) == 1000
    for namespace in ("email", "phone"):
        values = [value for each in people if (value := each.profile.identities.get(namespace))]
        assert len(set(values)) == len(values) > 900
        ends = {"email": "@example.com", "phone": ""}[namespace]
        assert all(value.endswith(ends) for value in values)
    assert all(phone[5:10] == "55501" for each in people if (phone := each.profile.identities.get("phone")) is not None)
    assert list(invent(900, 100)) == people
