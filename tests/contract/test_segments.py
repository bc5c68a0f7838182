"""Segments in the database: definitions, lists, members and memberships, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from tests.support.queueing import Queue
from wend.errors import InvalidDocument, NotFound
from wend.segments import lists, store
from wend.segments.lists import Listed, add_members, remove_members, replace_members
from wend.segments.references import CircularSegments
from wend.segments.rules import Rule, parse_rule, write_rule
from wend.segments.store import SegmentInUse, WrongKind, put_list, put_rule
from wend.storage.database import Database
from wend.storage.tables import identities, profiles, segment_members, segments

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

ADULTS = parse_rule({"attribute": "age", "op": "gte", "value": 18})
SEEN_LATELY = parse_rule({"attribute": "seen", "op": "after", "value": {"ago": "P30D"}})


def a_person(number: int) -> UUID:
    """The id of one of the five."""
    return UUID(int=number)


def within(key: str) -> Rule:
    """The rule of being in another segment."""
    return parse_rule({"segment": key})


def nobody(_: str) -> list[str]:
    """No journey uses any segment."""
    return []


@pytest.fixture
def people(database: Database) -> Database:
    """Five people, aged 10 to 50, seen on five days in a row; all have a caller's id, the odd ones an address."""
    with database.write() as connection:
        connection.execute(
            sa.insert(profiles),
            [
                {
                    "id": a_person(n),
                    "attributes": {"age": 10 * n, "seen": (NOW - timedelta(days=28 + n)).isoformat()},
                    "created_at": NOW,
                    "updated_at": NOW,
                }
                for n in range(1, 6)
            ],
        )
        addresses = [(n, "external_id", f"person-{n}") for n in range(1, 6)]
        addresses += [(n, "email", f"{n}@example.com") for n in (1, 3, 5)]
        connection.execute(
            sa.insert(identities),
            [{"profile_id": a_person(n), "namespace": space, "value": value} for n, space, value in addresses],
        )
    return database


def members_of(database: Database, key: str, now: datetime = NOW) -> set[int]:
    """The numbers of the people in a segment, by every way of asking at once."""
    with database.read() as connection:
        found = list(connection.scalars(store.members_select(connection, key, now)))
        assert len(found) == len(set(found)) == store.count(connection, key, now)
        assert set(store.sample(connection, key, now, 100)) == set(found)
        assert store.page_members(connection, key, now) == sorted(found)
        asked = store.memberships_of(connection, [a_person(n) for n in range(1, 6)], [key], now)
        assert {id for id, keys in asked.items() if keys} == set(found)
    return {id.int for id in found}


class TestDefinitions:
    def test_a_segment_by_rule_comes_back_as_it_was_put(self, people: Database) -> None:
        with people.write() as connection:
            put = put_rule(connection, "adults", "Grown-ups", ADULTS, NOW)
        with people.read() as connection:
            assert store.get(connection, "adults") == put
        assert (put.kind, put.rule, put.created_at, put.updated_at) == ("rule", ADULTS, NOW, NOW)

    def test_putting_again_changes_it(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "Grown-ups", ADULTS, NOW)
            changed = put_rule(connection, "adults", "Seen", SEEN_LATELY, LATER)
            assert store.get(connection, "adults") == changed
        assert (changed.name, changed.created_at, changed.updated_at) == ("Seen", NOW, LATER)

    def test_a_list_does_not_become_a_rule_nor_the_reverse(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "Grown-ups", ADULTS, NOW)
            put_list(connection, "chosen", "Chosen", NOW)
            with pytest.raises(WrongKind, match="'chosen' is made by list, and cannot become one by rule"):
                put_rule(connection, "chosen", "Chosen", ADULTS, NOW)
            with pytest.raises(WrongKind, match="cannot become one by list"):
                put_list(connection, "adults", "Grown-ups", NOW)

    def test_renaming_a_list_keeps_its_members(self, people: Database) -> None:
        with people.write() as connection:
            put_list(connection, "chosen", "Chosen", NOW)
            add_members(connection, "chosen", Listed([a_person(1)]), NOW)
            put_list(connection, "chosen", "Picked", LATER)
        assert members_of(people, "chosen") == {1}

    def test_an_unknown_segment_is_not_found(self, people: Database) -> None:
        with people.write() as connection:
            for ask in (
                store.get,
                lambda c, key: store.count(c, key, NOW),
                lambda c, key: store.delete(c, key, nobody),
            ):
                with pytest.raises(NotFound, match="There is no segment 'vips'"):
                    ask(connection, "vips")

    def test_pages_follow_the_keys(self, people: Database) -> None:
        keys = ["a", "b", "c", "d", "e"]
        with people.write() as connection:
            for key in reversed(keys):
                put_list(connection, key, key, NOW)
            first = store.page(connection, limit=2)
            second = store.page(connection, after=first[-1].key, limit=2)
            third = store.page(connection, after=second[-1].key, limit=2)
        assert [segment.key for segment in (*first, *second, *third)] == keys

    def test_a_bad_key_is_told(self, people: Database) -> None:
        with people.write() as connection:
            for key in ("", "Big Spenders", "a" * 64):
                with pytest.raises(InvalidDocument, match="key: "):
                    put_list(connection, key, "x", NOW)


class TestReferences:
    def test_a_rule_may_name_rules_and_lists(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            put_list(connection, "staff", "", NOW)
            add_members(connection, "staff", Listed([a_person(3)]), NOW)
            rule = parse_rule({"all": [{"segment": "adults"}, {"not": {"segment": "staff"}}, {"identity": "email"}]})
            put_rule(connection, "audience", "", rule, NOW)
            put_rule(connection, "audience-again", "", within("audience"), NOW)
        assert members_of(people, "audience") == members_of(people, "audience-again") == {5}

    def test_unknown_ones_are_told_with_their_paths(self, people: Database) -> None:
        rule = parse_rule({"any": [{"segment": "adult"}, {"not": {"segment": "staff"}}]})
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            with pytest.raises(InvalidDocument) as caught:
                put_rule(connection, "audience", "", rule, NOW)
        assert [str(problem) for problem in caught.value.problems] == [
            "any.0.segment: there is no segment 'adult'; did you mean 'adults'?",
            "any.1.not.segment: there is no segment 'staff'",
        ]

    def test_a_circle_is_refused(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "a", "", ADULTS, NOW)
            put_rule(connection, "b", "", within("a"), NOW)
            put_rule(connection, "c", "", within("b"), NOW)
            with pytest.raises(
                InvalidDocument, match=r"not\.segment: the segment would refer to itself: a → c → b → a"
            ):
                put_rule(connection, "a", "", parse_rule({"not": {"segment": "c"}}), NOW)
            with pytest.raises(InvalidDocument, match="segment: the segment would refer to itself: d → d"):
                put_rule(connection, "d", "", within("d"), NOW)

    def test_a_circle_that_is_there_all_the_same_is_no_endless_loop(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "a", "", ADULTS, NOW)
            put_rule(connection, "b", "", within("a"), NOW)
            connection.execute(sa.update(segments).where(segments.c.key == "a").values(rule=write_rule(within("b"))))
            with pytest.raises(CircularSegments, match="'a' refers to itself: a → b → a"):
                store.count(connection, "a", NOW)

    def test_what_segments_add_up_to_is_limited_also_for_those_that_use_them(self, people: Database) -> None:
        doubled = [{"segment": "s0"}, {"segment": "s0"}]
        with people.write() as connection:
            put_rule(connection, "s0", "", ADULTS, NOW)
            put_rule(connection, "s1", "", parse_rule({"any": doubled}), NOW)
            with pytest.raises(InvalidDocument, match="segment 's1', which uses it, has 805 parts on 4 levels"):
                put_rule(connection, "s0", "", parse_rule({"any": [write_rule(ADULTS)] * 400}), NOW)

    def test_a_chain_is_limited(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "s0", "", ADULTS, NOW)
            for n in range(1, 50):
                put_rule(connection, f"s{n}", "", within(f"s{n - 1}"), NOW)
            with pytest.raises(InvalidDocument, match="it has 51 parts on 51 levels"):
                put_rule(connection, "s50", "", within("s49"), NOW)
        assert members_of(people, "s49") == {2, 3, 4, 5}


class TestDelete:
    def test_a_segment_goes_with_its_members_and_without_its_profiles(self, people: Database) -> None:
        with people.write() as connection:
            put_list(connection, "chosen", "", NOW)
            add_members(connection, "chosen", Listed([a_person(1)]), NOW)
            store.delete(connection, "chosen", nobody)
            assert store.page(connection) == []
            assert connection.execute(sa.select(segment_members)).all() == []
            assert connection.execute(sa.select(sa.func.count()).select_from(profiles)).scalar_one() == 5

    def test_one_in_use_stays(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            put_rule(connection, "audience", "", within("adults"), NOW)
            with pytest.raises(SegmentInUse, match="used by segment 'audience', journey 'launch'") as caught:
                store.delete(connection, "adults", lambda key: ["launch"] if key == "adults" else [])
            with pytest.raises(SegmentInUse):
                store.delete(connection, "adults", nobody)
            store.delete(connection, "audience", nobody)
            store.delete(connection, "adults", nobody)
        assert (caught.value.segments, caught.value.journeys) == (("audience",), ("launch",))

    def test_one_that_is_being_used_at_this_moment_stays(self, people: Database) -> None:
        """The deletion begins while the rule that names the segment is not committed yet, and waits for it."""
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)

        def delete() -> None:
            with people.write() as connection:
                store.delete(connection, "adults", nobody)

        with ThreadPoolExecutor(1) as others:
            with people.write() as connection:
                put_rule(connection, "audience", "", within("adults"), NOW)
                deletion = Queue(people, others).add(delete)
            with pytest.raises(SegmentInUse):
                deletion.result(timeout=60)

    def test_one_that_was_made_while_a_rule_waited_can_be_named_by_it(self, people: Database) -> None:
        """The rule is checked against what there is when its turn has come."""
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)

        def name() -> None:
            with people.write() as connection:
                put_rule(connection, "audience", "", within("grown"), NOW)

        with ThreadPoolExecutor(1) as others:
            with people.write() as connection:
                put_rule(connection, "grown", "", ADULTS, NOW)
                naming = Queue(people, others).add(name)
            naming.result(timeout=60)
        with people.read() as connection:
            assert store.get(connection, "audience").rule == within("grown")


class TestLists:
    @pytest.fixture
    def chosen(self, people: Database) -> Database:
        """An empty list ``chosen``."""
        with people.write() as connection:
            put_list(connection, "chosen", "", NOW)
        return people

    def test_members_are_added_by_either_id_once(self, chosen: Database) -> None:
        with chosen.write() as connection:
            listed = Listed([a_person(1), a_person(2), a_person(1)], ["person-2", "person-5"])
            assert add_members(connection, "chosen", listed, NOW) == lists.ListChange(3, 0, Listed((), ()))
            assert add_members(connection, "chosen", Listed([a_person(2)]), LATER).added == 0
        assert members_of(chosen, "chosen") == {1, 2, 5}

    def test_ids_of_nobody_are_told_and_the_others_taken(self, chosen: Database) -> None:
        stranger = a_person(99)
        listed = Listed([stranger, a_person(1), stranger], ["who", "person-2", "1@example.com", "\0", "\ud800", "who"])
        with chosen.write() as connection:
            change = add_members(connection, "chosen", listed, NOW)
            assert remove_members(connection, "chosen", Listed([stranger])).unknown == Listed((stranger,), ())
        assert change == lists.ListChange(2, 0, Listed((stranger,), ("who", "1@example.com", "\0", "\ud800")))
        assert members_of(chosen, "chosen") == {1, 2}

    def test_members_are_removed_by_either_id(self, chosen: Database) -> None:
        with chosen.write() as connection:
            add_members(connection, "chosen", Listed([a_person(n) for n in range(1, 6)]), NOW)
            change = remove_members(connection, "chosen", Listed([a_person(1)], ["person-4"]))
            assert change == lists.ListChange(0, 2, Listed((), ()))
            assert remove_members(connection, "chosen", Listed([a_person(1)])).removed == 0
        assert members_of(chosen, "chosen") == {2, 3, 5}

    def test_replacing_keeps_when_the_others_were_added(self, chosen: Database) -> None:
        with chosen.write() as connection:
            add_members(connection, "chosen", Listed([a_person(1), a_person(2)]), NOW)
            change = replace_members(connection, "chosen", Listed([a_person(2)], ["person-3", "who"]), LATER)
            assert change == lists.ListChange(1, 1, Listed((), ("who",)))
            added = connection.execute(sa.select(segment_members.c.profile_id, segment_members.c.added_at)).all()
            assert {id.int: at for id, at in added} == {2: NOW, 3: LATER}
            assert replace_members(connection, "chosen", Listed(), LATER).removed == 2
        assert members_of(chosen, "chosen") == set()

    def test_ten_thousand_ids_are_one_change(self, chosen: Database) -> None:
        with chosen.write() as connection:
            listed = Listed([a_person(n) for n in range(1, 5_001)], [f"person-{n}" for n in range(5_000)])
            change = add_members(connection, "chosen", listed, NOW)
        assert (change.added, len(change.unknown.profile_ids), len(change.unknown.external_ids)) == (5, 4_995, 4_995)

    def test_a_rule_has_no_list(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            with pytest.raises(WrongKind, match="only lists have members to add and remove"):
                add_members(connection, "adults", Listed([a_person(1)]), NOW)
            with pytest.raises(NotFound):
                remove_members(connection, "vips", Listed([a_person(1)]))


class TestMembers:
    def test_relative_dates_count_from_the_given_now(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "lately", "", SEEN_LATELY, NOW)
        assert members_of(people, "lately", NOW) == {1}
        assert members_of(people, "lately", NOW - timedelta(days=2)) == {1, 2, 3}

    def test_memberships_of_many_in_many(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            put_list(connection, "chosen", "", NOW)
            add_members(connection, "chosen", Listed([a_person(1), a_person(2)]), NOW)
            stranger = a_person(99)
            asked = [a_person(1), a_person(2), a_person(3), stranger]
            found = store.memberships_of(connection, asked, ["chosen", "adults", "chosen"], NOW)
            assert [sorted(found[id]) for id in asked] == [["chosen"], ["adults", "chosen"], ["adults"], []]
            assert store.memberships(connection, a_person(3), ["chosen", "adults"], NOW) == {"adults"}
            assert store.memberships(connection, a_person(3), [], NOW) == frozenset()
            assert store.is_member(connection, "adults", a_person(3), NOW)
            assert not store.is_member(connection, "adults", stranger, NOW)
            with pytest.raises(NotFound, match="vips"):
                store.memberships(connection, a_person(3), ["adults", "vips"], NOW)

    def test_the_select_builds_into_an_insert(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            put_list(connection, "copy", "", NOW)
            chosen = store.members_select(connection, "adults", NOW).subquery()
            rows = sa.select(sa.literal("copy"), chosen.c.profile_id, sa.literal(NOW, segment_members.c.added_at.type))
            connection.execute(sa.insert(segment_members).from_select(["segment_key", "profile_id", "added_at"], rows))
        assert members_of(people, "copy") == {2, 3, 4, 5}

    def test_a_rule_is_counted_before_it_is_put(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            rule = parse_rule({"all": [{"segment": "adults"}, {"identity": "email"}]})
            assert store.count_rule(connection, rule, NOW) == 2
            with pytest.raises(NotFound, match="vips"):
                store.count_rule(connection, within("vips"), NOW)

    def test_members_come_in_pages(self, people: Database) -> None:
        with people.write() as connection:
            put_rule(connection, "adults", "", ADULTS, NOW)
            put_list(connection, "chosen", "", NOW)
            add_members(connection, "chosen", Listed([a_person(n) for n in (5, 1, 3)]), NOW)
            assert store.page_members(connection, "adults", NOW, limit=3) == [a_person(n) for n in (2, 3, 4)]
            assert store.page_members(connection, "adults", NOW, after=a_person(4), limit=3) == [a_person(5)]
            assert store.page_members(connection, "chosen", NOW, after=a_person(1)) == [a_person(3), a_person(5)]
            assert len(store.sample(connection, "adults", NOW, 2)) == 2
