"""Profiles on either database."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from wend.errors import InvalidDocument, NotFound
from wend.profiles import store
from wend.profiles.ids import new_ids
from wend.profiles.model import Profile, ProfileUpsert
from wend.profiles.store import ExternalIdTaken, UpsertResult
from wend.storage.database import Database
from wend.storage.tables import identities, segment_members, segments

NOW = datetime(2026, 11, 3, 8, 30, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def upsert(database: Database, *upserts: dict[str, Any], now: datetime = NOW) -> list[UpsertResult]:
    with database.write() as connection:
        return store.upsert(connection, [ProfileUpsert.model_validate(each) for each in upserts], now)


def get(database: Database, id: UUID) -> Profile:
    with database.read() as connection:
        profile = store.get(connection, id)
    assert profile
    return profile


def count(database: Database) -> int:
    with database.read() as connection:
        return store.count(connection)


def test_a_new_profile_is_read_back_as_it_was_given(database: Database) -> None:
    attributes = {
        "plan": "pro",
        "visits": 3,
        "ratio": 1.5,
        "vip": True,
        "tags": ["a", None],
        "address": {"city": "Köln"},
    }
    [result] = upsert(
        database,
        {
            "external_id": "c-17",
            "identities": {"email": "Anna@Example.COM", "phone": "+33 6 12 34 56 78", "crm_id": "x/1"},
            "attributes": attributes,
            "time_zone": "Europe/Paris",
        },
    )
    assert result.created
    assert get(database, result.id) == Profile(
        id=result.id,
        external_id="c-17",
        identities={"email": "Anna@example.com", "phone": "+33612345678", "crm_id": "x/1"},
        attributes=attributes,
        time_zone="Europe/Paris",
        created_at=NOW,
        updated_at=NOW,
    )


def test_only_what_is_named_changes_and_null_removes(database: Database) -> None:
    [(id, _)] = upsert(
        database,
        {
            "external_id": "c-17",
            "identities": {"email": "a@example.com", "phone": "+33612345678"},
            "attributes": {"plan": "free", "address": {"city": "Paris", "zip": "75001"}, "old": 1, "kept": 2},
            "time_zone": "Europe/Paris",
        },
    )
    [again] = upsert(
        database,
        {
            "external_id": "c-17",
            "identities": {"email": "b@example.com", "phone": None, "never": None},
            "attributes": {"plan": "pro", "address": {"city": "Lyon"}, "old": None, "never": None},
        },
        now=LATER,
    )
    assert again == UpsertResult(id, created=False)
    profile = get(database, id)
    assert profile.identities == {"email": "b@example.com"}
    assert profile.attributes == {"plan": "pro", "address": {"city": "Lyon"}, "kept": 2}
    assert (profile.time_zone, profile.created_at, profile.updated_at) == ("Europe/Paris", NOW, LATER)
    upsert(database, {"external_id": "c-17", "time_zone": None})
    assert get(database, id).time_zone is None


def test_what_changes_nothing_leaves_the_instant_of_the_last_change(database: Database) -> None:
    document = {"external_id": "c-17", "identities": {"email": "a@example.com"}, "attributes": {"n": 1}}
    [(id, _)] = upsert(database, document)
    upsert(database, document, now=LATER)
    assert get(database, id).updated_at == NOW
    upsert(database, {"id": id, "identities": {"email": "b@example.com"}}, now=LATER)
    assert get(database, id).updated_at == LATER


def test_without_an_external_id_a_profile_is_found_by_its_id_or_new(database: Database) -> None:
    [(id, created), (other, also_created)] = upsert(database, {"attributes": {"n": 1}}, {"attributes": {"n": 1}})
    assert created
    assert also_created
    assert id != other
    [result] = upsert(database, {"id": id, "attributes": {"n": 2}})
    assert result == UpsertResult(id, created=False)
    assert (get(database, id).attributes, get(database, other).attributes) == ({"n": 2}, {"n": 1})


def test_an_unknown_id_is_told_and_undoes_the_batch(database: Database) -> None:
    unknown = uuid4()
    with pytest.raises(NotFound, match=str(unknown)):
        upsert(database, {"external_id": "new"}, {"id": unknown})
    assert count(database) == 0


def test_an_id_with_a_free_external_id_gets_it(database: Database) -> None:
    [(id, _)] = upsert(database, {"external_id": "old"})
    upsert(database, {"id": id, "external_id": "new"})
    assert get(database, id).external_id == "new"
    [(other, created)] = upsert(database, {"external_id": "old"})
    assert created
    assert other != id


def test_an_id_with_another_profiles_external_id_is_refused(database: Database) -> None:
    [(first, _), (second, _)] = upsert(database, {"external_id": "first"}, {"external_id": "second"})
    with pytest.raises(ExternalIdTaken, match="'first' belongs to another") as caught:
        upsert(database, {"id": second, "external_id": "first"})
    assert caught.value.id == second
    assert upsert(database, {"id": first, "external_id": "first"}) == [UpsertResult(first, created=False)]


def test_several_upserts_of_one_person_in_a_batch_add_up(database: Database) -> None:
    results = upsert(
        database,
        {"external_id": "a", "attributes": {"x": 1, "y": 1}},
        {"external_id": "b"},
        {"external_id": "a", "attributes": {"x": None, "z": 1}},
    )
    assert [result.created for result in results] == [True, True, False]
    assert results[0].id == results[2].id
    assert get(database, results[0].id).attributes == {"y": 1, "z": 1}
    results = upsert(
        database,
        {"id": results[0].id, "external_id": "c", "attributes": {"x": 2}},
        {"external_id": "c", "attributes": {"y": 2}},
    )
    assert not any(result.created for result in results)
    assert get(database, results[0].id).attributes == {"x": 2, "y": 2, "z": 1}


def test_a_batch_takes_a_few_statements_whatever_its_size(database: Database) -> None:
    statements: list[str] = []

    def note(*args: Any) -> None:
        statements.append(args[2])

    def documents(value: int) -> list[ProfileUpsert]:
        return [
            ProfileUpsert(
                external_id=f"c-{number}",
                identities={"email": f"{value}-{number}@example.com"},
                attributes={"value": value},
            )
            for number in range(900)
        ]

    for value in (1, 2):
        with database.write() as connection:
            sa.event.listen(connection, "before_cursor_execute", note)
            results = store.upsert(connection, documents(value), NOW)
        assert len(results) == 900
    assert len(statements) < 20


def test_profiles_are_found_by_any_identity_however_it_is_written(database: Database) -> None:
    [(mother, _), (child, _), (_, _)] = upsert(
        database,
        {"external_id": "m", "identities": {"email": "family@example.com", "phone": "+33612345678"}},
        {"external_id": "c", "identities": {"email": "family@EXAMPLE.com"}},
        {"external_id": "x", "identities": {"email": "Family@example.com"}},
    )
    with database.read() as connection:
        assert {found.id for found in store.find(connection, "email", " family@Example.Com ")} == {mother, child}
        [by_phone] = store.find(connection, "phone", "06 12 34 56 78", region="FR")
        [by_external_id] = store.find(connection, "external_id", "m")
        assert by_phone == by_external_id
        assert by_phone.all_identities() == {
            "external_id": "m",
            "email": "family@example.com",
            "phone": "+33612345678",
        }
        assert store.find(connection, "crm_id", "m") == []
        with pytest.raises(InvalidDocument, match="email: is no e-mail address"):
            store.find(connection, "email", "nobody")


def test_pages_hold_everyone_once(database: Database) -> None:
    created = [result.id for result in upsert(database, *[{"external_id": str(n)} for n in range(25)])]
    seen: list[UUID] = []
    with database.read() as connection:
        while page := store.page(connection, seen[-1] if seen else None, limit=10):
            seen += [profile.id for profile in page]
    assert seen == sorted(created) == created


def test_a_deleted_profile_takes_its_identities_and_memberships_along(database: Database) -> None:
    [(id, _)] = upsert(database, {"external_id": "a", "identities": {"email": "a@example.com"}})
    with database.write() as connection:
        connection.execute(segments.insert().values(key="s", name="s", kind="list", created_at=NOW, updated_at=NOW))
        connection.execute(segment_members.insert().values(segment_key="s", profile_id=id, added_at=NOW))
    with database.write() as connection:
        assert store.delete(connection, id)
        assert not store.delete(connection, id)
    with database.read() as connection:
        assert store.get(connection, id) is None
        for table in (identities, segment_members):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0
    [(again, created)] = upsert(database, {"external_id": "a"})
    assert created
    assert again != id


def test_a_locked_read_of_someone_gone_is_none(database: Database) -> None:
    [(id, _)] = upsert(database, {"external_id": "a"})
    with database.write() as connection:
        locked = store.get(connection, id, lock=True)
        assert locked
        assert locked.external_id == "a"
        assert store.get(connection, uuid4(), lock=True) is None


def test_the_same_new_people_at_once_become_one_profile_each(database: Database) -> None:
    """Sixteen batches over the same forty people, each in another order; half of the people are there before."""
    upsert(database, *[{"external_id": f"c-{number}"} for number in range(20)])
    together = threading.Barrier(8)

    def one_of_many(batch: int) -> list[tuple[str, UpsertResult]]:
        together.wait(60)
        order = [f"c-{number * (2 * batch + 1) % 41}" for number in range(1, 41)]
        documents = [{"external_id": external_id, "attributes": {f"by-{batch}": batch}} for external_id in order]
        return list(zip(order, upsert(database, *documents), strict=True))

    with ThreadPoolExecutor(8) as threads:
        results = [pair for batch in threads.map(one_of_many, range(16)) for pair in batch]
    ids = {external_id: {result.id for name, result in results if name == external_id} for external_id, _ in results}
    assert all(len(found) == 1 for found in ids.values())
    created = [external_id for external_id, result in results if result.created]
    assert len(created) == len(set(created)) == 21  # 41 names, 0 to 40, of which 20 were there
    assert count(database) == 41
    for (id,) in ids.values():
        assert len(get(database, id).attributes) >= 15


def test_two_batches_over_the_same_people_in_opposite_orders_do_not_deadlock(postgres_database: Database) -> None:
    people = [f"c-{number}" for number in range(200)]
    upsert(postgres_database, *[{"external_id": each} for each in people])

    def change(turn: int) -> None:
        order = people if turn % 2 else people[::-1]
        upsert(postgres_database, *[{"external_id": each, "attributes": {"turn": turn}} for each in order])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(change, range(12)))
    assert count(postgres_database) == 200


def test_ids_grow_and_say_version_seven() -> None:
    ids = list(islice(new_ids(NOW), 1_000))
    assert ids == sorted(set(ids))
    assert {(id.version, id.variant) for id in ids} == {(7, "specified in RFC 4122")}
    assert ids[-1] < next(new_ids(NOW + timedelta(milliseconds=1)))
