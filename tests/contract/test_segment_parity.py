"""A rule means the same in memory, on SQLite and on PostgreSQL.

The profiles are loaded once; every example asks both databases about several rules at once, for all profiles.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.postgres import PostgresServer
from wend.journeys.facts import ProfileView
from wend.segments.memory import matches
from wend.segments.references import Segment
from wend.segments.rules import Rule, parse_rule
from wend.segments.sql import condition
from wend.storage.database import Database
from wend.storage.tables import identities, metadata, profiles, segment_members, segments

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 9, 30, 0, 123456, tzinfo=UTC)

TEXTS = [
    "",
    " ",
    "a",
    "A",
    "b",
    "ab",
    "é",
    "e\u0301",
    "ß",
    "ss",
    "z",
    "ä",
    "\uffff",
    "\U0001f600",
    "日本",
    "%",
    "_",
    "*",
]
TEXTS += ["30", "1", "true", "null", "[]", "{}", '"', "'", "\\", "a\nb", "\u2028", "now", "2451545.5", "x" * 300]

NUMBERS: list[float] = [0, -0.0, 1, 1.0, -1, 18, 30, 0.1, 0.30000000000000004, 0.3, 1 / 3, 1e-300, 5e-324, 1.5]
NUMBERS += [2**31, 2**53 - 1, 2**53, -(2**53), 4503599627370497.5, 1e15, 123456789.123456789]
HUGE: list[float] = [2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**40, 1e16, 1e308, -1e308, 9007199254740994.0]

DATES = [
    "2026-11-21", "2026-11-21T09:30", "2026-11-21T09:30:00", "2026-11-21T09:30:00.123456Z",
    "2026-11-21T09:30:00.123455Z",
    "2026-11-21T09:30:00.123457Z", "2026-11-21T10:30:00.123456+01:00", "2026-11-21T00:30:00.1234-09:00",
    "2026-11-20T23:59:59.999999Z", "2026-11-21T00:00Z", "2026-11-21T00:00:00.000001", "2026-11-21T14:29:59+14:59",
    "2026-11-21T00:00+00:00", "2026-11-21T00:00-00:00", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31",
    "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-00:01", "9999-12-31T23:59:59+00:01", "0001-01-01T00:00+14:00",
    "0001-01-01T00:00-14:00", "1969-12-31T23:59:59.5Z", "1582-10-10", "1900-02-28", "2026-10-25T02:30", "0400-02-29",
]  # fmt: skip
NO_DATES = [
    "2026-02-29", "1900-02-29", "2026-02-30", "2026-02-31", "2026-04-31", "2026-13-01", "2026-00-01", "2026-01-00",
    "2026-01-32", "0000-01-01", "2026-1-1", "20261121", "2026-11-21T", "2026-11-21T24:00", "2026-11-21T23:60",
    "2026-11-21T23:59:60", "2026-11-21T9:30", "2026-11-21 09:30", "2026-11-21t09:30z", "2026-11-21T09:30z",
    "2026-11-21Z", "2026-11-21+01:00", "2026-11-21T09:30+15:00", "2026-11-21T09:30+1:00", "2026-11-21T09:30+0100",
    "2026-11-21T09:30+01", "2026-11-21T09:30:00.", "2026-11-21T09:30:00.1234567", "2026-11-21T09:30:00,5",
    "2026-11-21T09:30.5", "2026-11-21T09", "2026-11-21T09:3", "2026-11-21T09:30:0", "2026-11-21T09:30:00.12a4Z",
    "2026-11-21T09:30ZZ", "2026-11-21T09:30 Z", " 2026-11-21", "2026-11-21 ", "2026-11-21\n", "2026-11-21T09:30Z\n",
    "2026-W47-6", "2026-325", "+2026-11-21", "-2026-11-21", "12026-11-21", "２０２６-11-21", "2026−11−21", "today",
    "infinity", "epoch", "2026-11-21T09:30+01:60", "2026-11-21T09:30++1:00", "2026-11-21T29:30",
    "2026-11-21T09:30:00Z+01:00",
]  # fmt: skip

SCALARS: list[Any] = [*TEXTS, *NUMBERS, *HUGE, *DATES, *NO_DATES, True, False]
OTHERS: list[Any] = [None, [], {}, [None], [[]], ["a", 1, True], [["a"]], [{"a": 1}], [1.0, "1", 30], ["\U0001f600"]]
OTHERS += [[False], ["true"], [0.3], {"b": 1}, {"b": "x"}, {"b": None}, {"b": {"c": [1]}}, {"0": "zero"}, {"b": []}]
OTHERS += [{"b": {"c": "2026-11-21"}}, {"b": {"c": True}}, ["2026-11-21"], [2**53, 2**53 + 1], "x" * 5000]

PATHS = [
    "a",
    "a.b",
    "a.b.c",
    "a.0",
    "größe",
    "日本.\U0001f600",
    "with space",
    "$",
    "@",
    "a[0]",
    "no such",
    "#-1",
    "-1",
    "o'b:x %s",
]


def people() -> list[ProfileView]:
    """Profiles with every nasty value at ``a``, and random mixtures of them elsewhere."""
    random = Random(4)
    values = [*SCALARS, *OTHERS]
    documents: list[dict[str, Any]] = [{"a": value} for value in values]
    documents += [{"a": {"b": value}} for value in values[::3]] + [{"a": [value]} for value in values[::2]]
    documents += [{"a": {"b": {"c": value}}, "größe": value, "with space": value} for value in values[::3]]
    documents += [
        {"日本": {"\U0001f600": value}, "$": value, "@": value, "a[0]": value, "o'b:x %s": value}
        for value in values[::4]
    ]
    documents += [{}, {"A": 1}, {"a": None, "a.b": 1}, {"#-1": 1, "-1": 2}]
    documents += [
        {name: random.choice(values) for name in random.sample(["a", "größe", "$", "A", "0"], 3)} for _ in range(60)
    ]
    found = []
    for number, document in enumerate(documents):
        identity = {} if number % 3 == 0 else {"email": random.choice(TEXTS)}
        if number % 2:
            identity["external_id"] = f"person-{number}"
        # As a database gives it back: through JSON.
        found.append(ProfileView(UUID(int=number + 1), json.loads(json.dumps(document)), identity))
    return found


PEOPLE = people()

SEGMENTS = {
    "chosen": None,
    "emptied": None,
    "texters": parse_rule({"identity": "email"}),
    "adults": parse_rule({"attribute": "a", "op": "gte", "value": 18}),
    "both": parse_rule({"all": [{"segment": "texters"}, {"not": {"segment": "adults"}}]}),
    "either": parse_rule({"any": [{"segment": "both"}, {"segment": "chosen"}]}),
}
CATALOGUE = {key: Segment(key, key, rule, NOW, NOW) for key, rule in SEGMENTS.items()}
CHOSEN = {person.id for person in PEOPLE[::7]}


def segments_of(person: ProfileView) -> frozenset[str]:
    """The segments of a person by hand: those named first are never those that name."""
    inside = {"chosen"} if person.id in CHOSEN else set()
    for key, rule in SEGMENTS.items():
        if rule is not None and matches(rule, person, inside, NOW):
            inside.add(key)
    return frozenset(inside)


MEMBERSHIPS = {person.id: segments_of(person) for person in PEOPLE}


@pytest.fixture(scope="module")
def databases(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Database]]:
    """Both databases, with everybody in them."""
    url = postgres.create()
    opened = {
        "sqlite": Database(f"sqlite:///{tmp_path_factory.mktemp('parity') / 'wend.db'}"),
        "postgresql": Database(url),
    }
    for database in opened.values():
        with database.write() as connection:
            metadata.create_all(connection)
            stamps = {"created_at": NOW, "updated_at": NOW}
            connection.execute(
                sa.insert(profiles), [{"id": p.id, "attributes": dict(p.attributes)} | stamps for p in PEOPLE]
            )
            connection.execute(
                sa.insert(identities),
                [
                    {"profile_id": p.id, "namespace": namespace, "value": value}
                    for p in PEOPLE
                    for namespace, value in p.identities.items()
                ],
            )
            connection.execute(
                sa.insert(segments),
                [{"key": key, "name": key, "kind": CATALOGUE[key].kind, "rule": None} | stamps for key in SEGMENTS],
            )
            connection.execute(
                sa.insert(segment_members),
                [{"segment_key": "chosen", "profile_id": id, "added_at": NOW} for id in sorted(CHOSEN)],
            )
    yield opened
    for database in opened.values():
        database.close()
    postgres.drop(url)


def check(databases: Mapping[str, Database], rules: list[Rule], every: int = 1) -> None:
    """Fail, naming a rule and a profile, if the three do not agree; ``every`` so many profiles are asked about."""
    asked = PEOPLE[::every]
    expected = {person.id: [matches(rule, person, MEMBERSHIPS[person.id], NOW) for rule in rules] for person in asked}
    for dialect, database in databases.items():
        columns = [
            condition(rule, NOW, dialect, CATALOGUE).label(f"rule_{number}") for number, rule in enumerate(rules)
        ]
        with database.read() as connection:
            query = sa.select(profiles.c.id, *columns)
            rows = connection.execute(query if every == 1 else query.where(profiles.c.id.in_(expected))).all()
        assert len(rows) == len(asked)
        for id, *answers in rows:
            if answers == expected[id]:
                continue
            wrong = next(n for n, answer in enumerate(answers) if answer is not expected[id][n])
            person = PEOPLE[id.int - 1]
            pytest.fail(
                f"{dialect} says {answers[wrong]}, memory {expected[id][wrong]}: {rules[wrong]!r} of {person!r}"
            )


def is_rule(document: dict[str, Any]) -> bool:
    """Whether the document is a rule at all: not every value fits every op."""
    try:
        parse_rule(document)
    except ValueError:
        return False
    return True


def test_every_comparison_with_every_value_agrees(databases: Mapping[str, Database]) -> None:
    ops = ["eq", "ne", "lt", "lte", "gt", "gte", "contains", "before", "after"]
    documents = [
        {"attribute": "a", "op": op, "value": value}
        for op, value in product(ops, [*SCALARS, {"ago": "PT9H30M0.123456S"}])
    ]
    documents += [{"attribute": path, "op": "exists", "value": there} for path, there in product(PATHS, [True, False])]
    documents += [{"attribute": path, "op": "ne", "value": value} for path, value in product(PATHS, ["", 1, True])]
    rules = [parse_rule(document) for document in documents if is_rule(document)]
    assert len(rules) > 600
    for start in range(0, len(rules), 60):
        check(databases, rules[start : start + 60])


def test_every_date_reads_the_same(databases: Mapping[str, Database]) -> None:
    """One microsecond either side of every date."""
    rules = []
    for text in DATES:
        for shift in (-1, 0, 1):
            try:
                at = datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(microseconds=shift)
            except OverflowError:
                continue
            rules += [
                parse_rule({"attribute": "a", "op": op, "value": at.isoformat().replace("+00:00", "Z")})
                for op in ("before", "after")
            ]
    for start in range(0, len(rules), 60):
        check(databases, rules[start : start + 60])


texts = st.sampled_from([*TEXTS, *DATES, *NO_DATES]) | st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=5
)
numbers = st.sampled_from(NUMBERS) | st.integers(-(2**53), 2**53) | st.floats(-1e15, 1e15)
scalars = texts | numbers | st.booleans()
dates = (
    st.sampled_from(DATES)
    | st.integers(0, 4 * 10**15).map(lambda shift: (EPOCH + timedelta(microseconds=shift)).isoformat())
    | st.integers(0, 10**6).map(lambda seconds: {"ago": f"PT{seconds}S"})
    | st.integers(0, 10**6).map(lambda seconds: {"ahead": f"PT{seconds}S"})
)
paths = st.sampled_from(PATHS)
leaves = st.one_of(
    st.fixed_dictionaries({"attribute": paths, "op": st.sampled_from(["eq", "ne", "contains"]), "value": scalars}),
    st.fixed_dictionaries(
        {"attribute": paths, "op": st.sampled_from(["lt", "lte", "gt", "gte"]), "value": texts | numbers}
    ),
    st.fixed_dictionaries(
        {"attribute": paths, "op": st.just("in"), "value": st.lists(scalars, min_size=1, max_size=12)}
    ),
    st.fixed_dictionaries({"attribute": paths, "op": st.sampled_from(["before", "after"]), "value": dates}),
    st.fixed_dictionaries({"attribute": paths, "op": st.just("exists"), "value": st.booleans()}),
    st.fixed_dictionaries({"identity": st.sampled_from(["email", "external_id", "phone"])}),
    st.fixed_dictionaries({"identity": st.just("email"), "op": st.sampled_from(["eq", "contains"]), "value": texts}),
    st.fixed_dictionaries(
        {"identity": st.just("email"), "op": st.just("in"), "value": st.lists(texts, min_size=1, max_size=5)}
    ),
    st.fixed_dictionaries({"segment": st.sampled_from(list(SEGMENTS))}),
)
documents = st.recursive(
    leaves,
    lambda parts: (
        st.fixed_dictionaries({"all": st.lists(parts, min_size=1, max_size=4)})
        | st.fixed_dictionaries({"any": st.lists(parts, min_size=1, max_size=4)})
        | st.fixed_dictionaries({"not": parts})
    ),
    max_leaves=8,
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(documents.filter(is_rule).map(parse_rule), min_size=1, max_size=8))
def test_any_rule_agrees(databases: Mapping[str, Database], rules: list[Rule]) -> None:
    check(databases, rules)


def test_a_rule_at_the_limits_still_runs(databases: Mapping[str, Database]) -> None:
    deep: dict[str, Any] = {"attribute": "a.b", "op": "contains", "value": "x"}
    for level in range(19):
        deep = {"not": deep} if level % 2 else {"any": [deep, {"segment": "either"}]}
    wide = {"any": [{"attribute": "a", "op": "before", "value": "2026-01-01"}] * 499}
    long = {"attribute": "a", "op": "in", "value": [f"text {n}" for n in range(500)] + list(range(500))}
    check(databases, [parse_rule(document) for document in (deep, wide, long)], every=10)


def test_the_profiles_are_in_some_of_the_segments_and_not_in_others() -> None:
    """Agreement on empty answers would show nothing."""
    inside = {key: sum(key in memberships for memberships in MEMBERSHIPS.values()) for key in SEGMENTS}
    assert inside.pop("emptied") == 0
    assert all(0 < size < len(PEOPLE) for size in inside.values())
