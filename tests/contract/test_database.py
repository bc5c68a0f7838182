"""What every caller may rely on, on either database."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa

from tests.support.eventually import assert_eventually
from tests.support.postgres import PostgresServer
from wend.errors import InvalidDocument, Unavailable
from wend.storage.database import (
    CommitUnknown,
    Database,
    ReadOnly,
    chunks,
    insert_ignoring,
    is_transient,
    lock_journey,
    lock_profile,
    lock_profiles,
    lock_run,
    lock_runs,
    skip_locked,
)
from wend.storage.exclusive import DatabaseInUse, Turns
from wend.storage.tables import entries, journeys, profiles, runs

NOW = datetime(2026, 11, 3, 8, 30, 0, 123456, tzinfo=UTC)


def add_profile(connection: sa.Connection, id: UUID | None = None, **attributes: Any) -> UUID:
    id = id or uuid4()
    connection.execute(profiles.insert().values(id=id, attributes=attributes, created_at=NOW, updated_at=NOW))
    return id


def add_journey(connection: sa.Connection, key: str) -> None:
    values = {"name": key, "state": "live", "draft": {"a": 1}, "draft_revision": 1, "version": 1}
    connection.execute(journeys.insert().values(key=key, **values, created_at=NOW, updated_at=NOW))


def add_run(connection: sa.Connection, journey: str, profile: UUID) -> UUID:
    entry, run = uuid4(), uuid4()
    connection.execute(
        entries.insert().values(
            id=entry, journey_key=journey, version=1, occurrence=f"api/{entry}", kind="api", state="done",
            due_at=NOW, opened_at=NOW, members=1,
        )
    )  # fmt: skip
    connection.execute(
        runs.insert().values(
            id=run, journey_key=journey, version=1, entry_id=entry, profile_id=profile, entry_number=1, once=False,
            properties={}, state="pending", sequence=0, moves=0, woken=False, created_at=NOW,
        )
    )  # fmt: skip
    return run


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(profiles)) or 0


def test_what_was_written_is_read_back_the_same(database: Database) -> None:
    attributes: dict[str, Any] = {"name": "Zoë 🦊", "age": 30, "ratio": 0.1, "none": None, "tags": ["a", {"b": True}]}
    with database.write() as connection:
        id = add_profile(connection, **attributes)
    with database.read() as connection:
        row = connection.execute(sa.select(profiles)).one()
    assert (row.id, row.attributes, row.time_zone, row.created_at) == (id, attributes, None, NOW)
    assert row.created_at.tzinfo is UTC


def test_an_exception_undoes_the_whole_transaction(database: Database) -> None:
    with pytest.raises(RuntimeError, match="half way"), database.write() as connection:
        add_profile(connection)
        raise RuntimeError("half way")
    assert count(database) == 0


def test_a_reader_sees_only_what_was_committed(database: Database) -> None:
    with database.write() as connection:
        add_profile(connection)
        assert count(database) == 0
    assert count(database) == 1


def test_a_read_transaction_cannot_write(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read-?only"), database.read() as connection:
        add_profile(connection)
    with database.write() as connection:  # and the next transaction may, on the same connection or not
        add_profile(connection)
    assert count(database) == 1


def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.write() as connection:
        connection.execute(
            sa.text("INSERT INTO identities (profile_id, namespace, value) VALUES (:id, 'email', 'a@example.com')"),
            {"id": uuid4() if database.dialect == "postgresql" else uuid4().hex},
        )


def test_errors_do_not_repeat_the_values(database: Database) -> None:
    id = uuid4()
    with pytest.raises(sa.exc.IntegrityError) as caught, database.write() as connection:
        add_profile(connection, id)
        add_profile(connection, id, email="secret@example.com")
    assert "secret@example.com" not in str(caught.value)
    assert not is_transient(caught.value)


def test_not_a_number_is_refused_by_both(database: Database) -> None:
    refused = pytest.raises((ValueError, sa.exc.StatementError), match="not JSON compliant")
    with refused, database.write() as connection:
        add_profile(connection, ratio=float("nan"))


def test_an_ignoring_insert_leaves_out_conflicts_and_nothing_else(database: Database) -> None:
    id = uuid4()
    row = {"id": id, "attributes": {}, "created_at": NOW, "updated_at": NOW}
    with database.write() as connection:
        statement = insert_ignoring(connection, profiles)
        connection.execute(statement, [row, row, {**row, "id": uuid4()}])
        assert connection.scalar(sa.select(sa.func.count()).select_from(profiles)) == 2
        with pytest.raises(sa.exc.IntegrityError):
            connection.execute(statement, [{**row, "id": uuid4(), "created_at": None}])


def test_locks_answer_the_rows_in_the_order_of_their_ids(database: Database) -> None:
    with database.write() as connection:
        add_journey(connection, "launch")
        people = [add_profile(connection) for _ in range(5)]
        passages = [add_run(connection, "launch", person) for person in people]
    with database.write() as connection:
        assert [row.id for row in lock_profiles(connection, [*people, uuid4(), people[0]])] == sorted(people)
        assert [row.id for row in lock_runs(connection, passages)] == sorted(passages)
        journey = lock_journey(connection, "launch")
        assert journey
        assert journey.state == "live"
        assert lock_journey(connection, "other", share=False) is None
        one, run = lock_profile(connection, people[0]), lock_run(connection, passages[0])
        assert one
        assert run
        assert (one.id, run.profile_id) == (people[0], people[0])
        assert lock_profile(connection, uuid4()) is None
        assert lock_run(connection, uuid4()) is None


def test_a_hundred_concurrent_increments_under_a_lock_lose_nothing(database: Database) -> None:
    with database.write() as connection:
        id = add_profile(connection, n=0)

    def increment(_: int) -> None:
        with database.write() as connection:
            row = lock_profile(connection, id)
            assert row
            connection.execute(profiles.update().values(attributes={"n": row.attributes["n"] + 1}))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(increment, range(100)))
    with database.read() as connection:
        assert connection.scalar(sa.select(profiles.c.attributes)) == {"n": 100}


def hold(database: Database, take: Callable[[sa.Connection], object]) -> tuple[threading.Event, threading.Thread]:
    """Take a lock in a transaction of another thread, and keep it until the event is set."""
    taken, let_go = threading.Event(), threading.Event()

    def body() -> None:
        with database.write() as connection:
            take(connection)
            taken.set()
            let_go.wait(60)

    thread = threading.Thread(target=body)
    thread.start()
    assert taken.wait(60)
    return let_go, thread


def test_claims_share_the_journey_and_a_stop_waits_for_them(migrated_postgres_url: str) -> None:
    database = Database(migrated_postgres_url, lock_timeout=timedelta(milliseconds=100))
    with database.write() as connection:
        add_journey(connection, "launch")
    let_go, claim = hold(database, lambda connection: lock_journey(connection, "launch"))
    with database.write() as connection:
        assert lock_journey(connection, "launch")
    with pytest.raises(Unavailable), database.write() as connection:
        lock_journey(connection, "launch", share=False)
    let_go.set()
    claim.join()
    with database.write() as connection:
        assert lock_journey(connection, "launch", share=False)
    database.close()


def test_a_locked_profile_can_still_be_referred_to(postgres_database: Database) -> None:
    """A list segment takes a person in while an advance holds them: the foreign key must not wait."""
    with postgres_database.write() as connection:
        id = add_profile(connection)
    let_go, advance = hold(postgres_database, lambda connection: lock_profile(connection, id))
    with postgres_database.write() as connection:
        connection.execute(sa.text("SET LOCAL lock_timeout = '1s'"))
        connection.execute(
            sa.text("INSERT INTO identities (profile_id, namespace, value) VALUES (:id, 'email', 'a@example.com')"),
            {"id": id},
        )
    let_go.set()
    advance.join()


def test_rows_locked_by_another_are_skipped(postgres_database: Database) -> None:
    with postgres_database.write() as connection:
        first, second = sorted([add_profile(connection), add_profile(connection)])
    let_go, other = hold(postgres_database, lambda connection: lock_profile(connection, first))
    with postgres_database.write() as connection:
        query = skip_locked(sa.select(profiles.c.id).order_by(profiles.c.id))
        assert connection.scalars(query).all() == [second]
    let_go.set()
    other.join()


def test_skipping_locks_means_nothing_where_there_is_one_writer(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        id = add_profile(connection)
        assert connection.scalars(skip_locked(sa.select(profiles.c.id))).all() == [id]


def test_the_victim_of_a_deadlock_is_told_to_try_again(postgres_database: Database) -> None:
    with postgres_database.write() as connection:
        first, second = add_profile(connection), add_profile(connection)
    both = threading.Barrier(2)

    def cross(one: UUID, other: UUID) -> str:
        try:
            with postgres_database.write() as connection:
                lock_profile(connection, one)
                both.wait(60)
                lock_profile(connection, other)
        except Unavailable as error:
            return "deadlock" if "deadlock" in str(error) else str(error)
        return "through"

    with ThreadPoolExecutor(2) as threads:
        ends = [threads.submit(cross, first, second), threads.submit(cross, second, first)]
        assert sorted(end.result() for end in ends) == ["deadlock", "through"]


def test_a_second_opening_of_an_sqlite_file_is_refused(sqlite_url: str, sqlite_database: Database) -> None:
    with pytest.raises(DatabaseInUse, match=f"in use by process {os.getpid()}"):
        Database(sqlite_url)
    for_reading = Database(sqlite_url, read_only=True)
    for_reading.ping()
    with pytest.raises(ReadOnly), for_reading.write():
        pass
    for_reading.close()
    sqlite_database.close()
    sqlite_database.close()
    Database(sqlite_url).close()


def test_a_killed_process_gives_its_sqlite_file_back(sqlite_url: str) -> None:
    script = (
        "import sys; from wend.storage.database import Database; d = Database(sys.argv[1]); print('open', flush=True)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script + "; sys.stdin.read()", sqlite_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(DatabaseInUse, match=f"process {holder.pid}"):
            Database(sqlite_url)
        holder.kill()
    Database(sqlite_url).close()


def test_the_sqlite_writer_is_durable_and_logs_ahead(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.write() as connection:
        wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
    database.close()
    assert found == wanted


def test_postgresql_writes_read_committed_reads_read_one_snapshot_and_both_are_in_utc(
    postgres_database: Database,
) -> None:
    levels = {postgres_database.read: "repeatable read", postgres_database.write: "read committed"}
    for opened, level in levels.items():
        with opened() as connection:
            assert connection.scalar(sa.text("SHOW transaction_isolation")) == level
            assert connection.scalar(sa.text("SHOW timezone")) == "UTC"


def test_a_reader_sees_one_snapshot_throughout(database: Database) -> None:
    """Figures that are counted by several statements would not add up while runs move."""
    everybody = sa.select(sa.func.count()).select_from(profiles)
    with database.read() as connection:
        before = connection.scalar(everybody)
        with database.write() as writing:
            add_profile(writing)
        assert connection.scalar(everybody) == before == 0


def test_a_writer_that_does_not_get_its_turn_is_told_to_try_again(sqlite_url: str) -> None:
    database = Database(sqlite_url, lock_timeout=timedelta(milliseconds=50))
    let_go, holder = hold(database, add_profile)
    with pytest.raises(Unavailable, match="other writers held it"), database.write():
        pass
    let_go.set()
    holder.join()
    with database.write() as connection:
        add_profile(connection)
    assert count(database) == 2
    database.close()


def test_a_write_inside_a_write_is_refused_at_once(sqlite_database: Database) -> None:
    with sqlite_database.write(), pytest.raises(RuntimeError, match="inside another"), sqlite_database.write():
        pass


async def test_turns_are_taken_in_the_order_of_asking() -> None:
    turns, order, threads = Turns(), list[int](), list[threading.Thread]()

    def ask(number: int) -> None:
        with turns.turn(60):
            order.append(number)

    def all_wait() -> None:
        assert len(turns._waiting) == len(threads)

    with turns.turn(60):
        for number in range(10):
            threads.append(threading.Thread(target=ask, args=[number]))
            threads[-1].start()
            await assert_eventually(all_wait, interval=timedelta(milliseconds=1))
    for thread in threads:
        thread.join()
    assert order == list(range(10))


def test_a_server_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"postgresql://wend@/wend?host={tmp_path}")
    for attempt in (database.ping, lambda: count(database)):
        with pytest.raises(Unavailable) as caught:
            attempt()
        assert is_transient(caught.value)
    database.close()


def test_a_file_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        Database(f"sqlite:///{tmp_path}/no/such/directory/wend.db")
    database = Database(f"sqlite:///{tmp_path}/none.db", read_only=True)
    with pytest.raises(Unavailable):
        database.ping()
    database.close()
    assert not (tmp_path / "none.db").exists()


def end_connections(url: str) -> None:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_a_connection_lost_on_the_way_is_unavailable(migrated_postgres_url: str, postgres_database: Database) -> None:
    with pytest.raises(Unavailable), postgres_database.write() as connection:
        add_profile(connection)
        end_connections(migrated_postgres_url)
        add_profile(connection)
    assert count(postgres_database) == 0


def test_a_connection_lost_during_the_commit_says_that_nobody_knows(
    migrated_postgres_url: str, postgres_database: Database
) -> None:
    with pytest.raises(CommitUnknown, match="not known"), postgres_database.write() as connection:
        add_profile(connection)
        end_connections(migrated_postgres_url)


def test_connections_that_died_idle_are_replaced_unnoticed(
    migrated_postgres_url: str, postgres_database: Database
) -> None:
    postgres_database.ping()
    end_connections(migrated_postgres_url)
    postgres_database.ping()


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@host/db", "secret"])
def test_a_url_of_no_known_database_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidDocument, match="sqlite:///FILE") as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_a_postgresql_url_needs_no_driver_and_keeps_its_options(postgres: PostgresServer, postgres_url: str) -> None:
    plain = postgres_url.replace("postgresql+psycopg", "postgres") + "&options=-c%20work_mem%3D12MB"
    database = Database(plain, connections=1)
    with database.read() as connection:
        assert connection.scalar(sa.text("SHOW work_mem")) == "12MB"
        assert connection.scalar(sa.text("SHOW timezone")) == "UTC"
        assert connection.scalar(sa.text("SHOW application_name")) == "wend"
    database.close()


def test_chunks_keep_the_order() -> None:
    assert [list(some) for some in chunks(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(chunks([])) == []
