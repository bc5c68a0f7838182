"""``wend demo``: the figures add up, also when Wend is killed in the middle; and where they do not, it says so."""

import os
import signal
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.support.eventually import assert_eventually
from tests.support.programs import Program, assert_gone, descendants, program
from wend.cli.people import invent
from wend.cli.reader import is_curious, read_followed
from wend.cli.state import StateDirectory
from wend.cli.tally import Delivered, tally
from wend.storage.database import Database
from wend.storage.tables import sent_messages

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


def demo(directory: Path, members: int = MEMBERS, window: int = 8) -> list[object]:
    return ["demo", "--json", "--members", members, "--window", window, "--dir", directory]


async def wend_that_has_sent(directory: Path, running: Program, mails: int) -> int:
    """Return the process id of the demo's Wend when so many mails are out."""

    def has_sent() -> int:
        assert running.is_running, running.err
        assert (directory / "wend.pid").exists(), "it is started when the sink is there"
        with closing(sqlite3.connect(f"file:{directory / 'sink.db'}?mode=ro", uri=True)) as sink:
            assert sink.execute("SELECT count(*) FROM message").fetchone()[0] >= mails
        return int((directory / "wend.pid").read_text())

    return await assert_eventually(has_sent, timeout=AT_MOST)


def assert_that_it_adds_up(result: dict[str, Any]) -> None:
    assert result.keys() >= KEYS
    assert result["consistent"] is True
    assert result["problems"] == []
    assert (result["members"], result["entered"], result["excluded"]) == (MEMBERS, ENTERED, EXCLUDED)
    assert result["clicks"] + result["timeouts"] == ENTERED
    assert result["outcomes"] == {"completed": ENTERED}


async def test_a_demo_that_is_stopped_leaves_nothing_behind_and_goes_on_to_figures_that_add_up(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    with program(tmp_path, *demo(directory)) as running:
        await wend_that_has_sent(directory, running, mails=1)
        started = descendants(running.process.pid)
        assert len(started) >= 4, "Temporal, sink, Wend, reader"
        running.signal(signal.SIGTERM)
        assert running.wait() == 130
        await assert_gone(started)
        assert f"--dir {directory}" in running.err
    with closing(sqlite3.connect(directory / "sink.db")) as sink:
        mailed = {address for (address,) in sink.execute("SELECT recipient FROM message")}
    other = command_within(tmp_path, *demo(directory, members=7))
    assert other.wait() == 1
    assert f"--members {MEMBERS}" in other.err

    ran = command_within(tmp_path, *demo(directory))
    assert ran.wait() == 0, ran.out + ran.err
    result = ran.json
    assert_that_it_adds_up(result)
    people = [each for each in invent(MEMBERS, 0) if not each.employee and "email" in each.profile.identities]
    curious = [each.profile for each in people if is_curious(each.profile.identities["email"] or "")]
    assert result["emails"] == ENTERED
    # Nobody clicked while the demo stood still, and who was mailed before that may have been too late afterwards.
    late = len([each for each in curious if each.identities["email"] in mailed])
    assert len(curious) - late <= result["clicks"] <= len(curious)
    assert result["texts"] + result["no_address"] == result["clicks"]
    assert result["uncertain"] == 0, "whoever is stopped finishes what it sends"
    assert ran.err == ""

    see_that_it_sees(directory)

    with closing(sqlite3.connect(directory / "sink.db")) as sink, sink:
        sink.execute("DELETE FROM message WHERE id = 3")
    again = command_within(tmp_path, *demo(directory))
    assert again.wait() == 1
    assert again.json["consistent"] is False
    assert "email: accepted, but not in the sink: 1" in again.json["problems"][0]


def see_that_it_sees(directory: Path) -> None:
    """Have a finished demo counted with one thing wrong at a time."""
    followed = read_followed(directory / "followed.ndjson")
    with closing(Database(StateDirectory(directory).database_url, read_only=True)) as database:
        with database.read() as connection:
            rows = connection.execute(sa.select(sent_messages)).all()
        delivered = [Delivered(row.channel, str(row.id), row.address) for row in rows]

        def problems(delivered: list[Delivered], followed: dict[str, int]) -> list[str]:
            with database.read() as connection:
                return list(tally(connection, delivered, followed).problems)

        first, *others = delivered
        clicked = list(followed)[-1]  # the first may have been too late
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


async def test_wend_killed_in_the_middle_changes_no_figure(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    with program(tmp_path, *demo(directory)) as running:
        os.kill(await wend_that_has_sent(directory, running, mails=ENTERED // 3), signal.SIGKILL)
        assert running.wait(AT_MOST) == 0, running.out + running.err
        result = running.json
    assert_that_it_adds_up(result)
    assert result["restarts"] == 1
    assert "was ended from outside; it runs again" in running.err
    assert ENTERED - result["uncertain"] <= result["emails"] <= ENTERED


def command_within(directory: Path, *words: object) -> Program:
    with program(directory, *words) as ran:
        ran.wait(AT_MOST)
        return ran


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
