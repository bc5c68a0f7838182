"""Importing profiles from files, on either database."""

import json
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from wend.errors import InvalidDocument, Unavailable
from wend.profiles import store
from wend.profiles.files import Format
from wend.profiles.importing import ImportReport, Progress, import_profiles
from wend.profiles.model import Profile, ProfileUpsert
from wend.profiles.spool import Spool
from wend.storage.database import Database
from wend.storage.tables import identities, profiles

NOW = datetime(2026, 11, 3, 8, 30, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


def load(
    database: Database, content: str | bytes, format: Format = "csv", now: datetime = NOW, cut: int = 7, **options: Any
) -> ImportReport:
    data = content.encode() if isinstance(content, str) else content
    chunks = (data[start : start + cut] for start in range(0, len(data), cut))
    return import_profiles(database, chunks, format, now, **options)


def ndjson(*documents: dict[str, Any]) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)


def everyone(database: Database) -> dict[str | None, Profile]:
    with database.read() as connection:
        return {profile.external_id: profile for profile in store.page(connection, limit=1_000)}


def problems(database: Database, content: str | bytes, format: Format = "csv", **options: Any) -> list[str]:
    with pytest.raises(InvalidDocument) as caught:
        load(database, content, format, **options)
    assert everyone(database) == {}
    return [str(problem) for problem in caught.value.problems]


CSV = """\
external_id,email,phone,time_zone,identity.crm_id,plan,visits,ratio,vip,zip,born_on,note:text
c-1,Anna@EXAMPLE.com,+33 6 12 34 56 78,Europe/Paris,X1,pro,12,-0.5e1,true,01234,1990-02-03,12

c-2,,,,,,,,,,,
"c""3",b@example.com,,,,"two
lines, and a comma",9007199254740993,1.0,True,,,
"""


def test_a_csv_file_is_read_with_types(database: Database) -> None:
    assert load(database, CSV) == ImportReport(created=3, updated=0, lines=3)
    people = everyone(database)
    assert people.keys() == {"c-1", "c-2", 'c"3'}
    first = people["c-1"]
    assert first.identities == {"email": "Anna@example.com", "phone": "+33612345678", "crm_id": "X1"}
    assert first.attributes == {
        "plan": "pro", "visits": 12, "ratio": -5.0, "vip": True, "zip": "01234", "born_on": "1990-02-03", "note": "12",
    }  # fmt: skip
    assert (first.time_zone, first.created_at, first.updated_at) == ("Europe/Paris", NOW, NOW)
    assert (people["c-2"].attributes, people["c-2"].identities) == ({}, {})
    assert people['c"3'].attributes == {
        "plan": "two\nlines, and a comma", "visits": "9007199254740993", "ratio": 1.0, "vip": "True",
    }  # fmt: skip


def test_an_ndjson_file_is_read(database: Database) -> None:
    attributes = {"tags": ["a", None], "address": {"city": "Köln"}, "back": "\\ \t \n \\N \\."}
    report = load(
        database,
        ndjson(
            {"external_id": "c-1", "identities": {"email": "a@example.com"}, "attributes": attributes},
            {"external_id": "\\N", "identities": {"crm_id": "a\\tb"}, "time_zone": "UTC"},
        )
        + "\n  \n",
        "ndjson",
    )
    assert report == ImportReport(created=2, updated=0, lines=2)
    people = everyone(database)
    assert people["c-1"].attributes == attributes
    assert people["\\N"].identities == {"crm_id": "a\\tb"}
    assert people["\\N"].time_zone == "UTC"


def test_an_import_does_what_upserts_do(database: Database) -> None:
    """The quick ways into the databases are compared with the plain one, change by change."""
    first = [
        {"external_id": f"c-{n}", "identities": {"email": f"{n}@example.com", "crm_id": str(n)}}
        | {"attributes": {"a": n, "b": {"x": 1}, "c": None}, "time_zone": "Europe/Paris"}
        for n in range(6)
    ]
    second: list[dict[str, Any]] = [
        {"external_id": "c-0"},
        {"external_id": "c-1", "identities": {"email": "new@example.com"}},
        {"external_id": "c-2", "identities": {"email": None}, "time_zone": None},
        {"external_id": "c-3", "attributes": {"a": None, "b": {"y": 2}, "c": 3, "d": None}},
        {"external_id": "c-4", "time_zone": "Asia/Tokyo", "attributes": {"a": 4}, "identities": {"crm_id": "4"}},
        {"external_id": "new", "attributes": {"a": None, "b": 1}, "identities": {"email": None, "crm_id": "n"}},
    ]
    assert load(database, ndjson(*first), "ndjson") == ImportReport(6, 0, 6)
    assert load(database, ndjson(*second), "ndjson", LATER) == ImportReport(1, 5, 6)
    imported = everyone(database)
    with database.write() as connection:
        connection.execute(sa.delete(profiles))
        for documents, now in ((first, NOW), (second, LATER)):
            store.upsert(connection, [ProfileUpsert.model_validate(document) for document in documents], now)
    upserted = everyone(database)
    assert {name: person.model_dump(exclude={"id"}) for name, person in imported.items()} == {
        name: person.model_dump(exclude={"id"}) for name, person in upserted.items()
    }
    changed = {name for name, person in imported.items() if person.updated_at == LATER}
    assert changed == {"c-1", "c-2", "c-3", "c-4", "new"}


def test_importing_a_file_twice_changes_nothing(database: Database) -> None:
    load(database, CSV)
    before = everyone(database)
    assert load(database, CSV, now=LATER) == ImportReport(created=0, updated=3, lines=3)
    assert everyone(database) == before


def test_everything_wrong_is_told_by_line_and_nothing_is_imported(database: Database) -> None:
    content = (
        "external_id,email,phone,time_zone,plan\n"
        "c-1,a@example.com,,,pro\n"
        "c-2,nobody,12,Mars/Olympus,pro\n"
        ",b@example.com,,,\n"
        "c-3,only,four,cells\n"
        'c-4,,,,"a\nb"\n'
        "c-1,c@example.com,,,\n"
    )
    assert problems(database, content) == [
        "line 3: identities.email: is no e-mail address: An email address must have an @-sign.",
        "line 3: identities.phone: is no international phone number: write it with + and the country's code",
        "line 3: time_zone: there is no time zone 'Mars/Olympus'; use an IANA name such as Europe/Paris",
        "line 4: external_id: is required: without it, the next import would add the same person again",
        "line 5: has 4 cells, but there are 5 columns",
        "line 8: external_id: is that of line 2 again",
    ]


def test_everything_wrong_in_ndjson_is_told_by_line(database: Database) -> None:
    content = (
        '{"external_id": "c-1"}\n'
        '{"external_id": "c-2", "atributes": {}}\n'
        '{"external_id": "c-3"\n'
        "[1]\n"
        '{"attributes": {"a": 1e400}, "external_id": "c-4"}\n'
        '{"id": "01890a5d-ac96-774b-bcce-b302099a8057"}\n'
        '{"identities": {"email": "a@example.com"}}\n'
        '{"external_id": "c-1"}\n'
    )
    said = problems(database, content, "ndjson")
    assert said[0] == "line 2: atributes: there is no such field here; did you mean 'attributes'?"
    assert said[1].startswith("line 3: is no JSON: EOF while parsing an object at character")
    assert said[2].startswith("line 4: ")
    assert said[3:] == [
        "line 5: attributes.a: is a number of more than 64 bits; write it as text",
        "line 6: id: is Wend's own; people are imported by their external_id",
        "line 7: external_id: is required: without it, the next import would add the same person again",
        "line 8: external_id: is that of line 1 again",
    ]


def test_after_a_hundred_problems_they_are_counted(database: Database) -> None:
    said = problems(database, "external_id,email\n" + "".join(f"c-{n},nobody\n" for n in range(1_234)))
    assert len(said) == 101
    assert said[99].startswith("line 101: ")
    assert said[100] == "… and 1134 more"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ["line 1: names no columns: the first line of a CSV file does"]),
        ("\nexternal_id\nc-1\n", ["line 1: names no columns: the first line of a CSV file does"]),
        ("email,plan\na,b\n", ["line 1: no column is called external_id"]),
        ("externalid\n", ["line 1: no column is called external_id; did you mean 'externalid'?"]),
        (
            "external_id,,plan,plan,identity.Email,email,identity.email,id,x:int,a.b,identity.external_id\n",
            [
                "line 1: column 2: has no name",
                "line 1: column 4 ('plan'): is there twice",
                "line 1: column 5 ('identity.Email'): names no identity: lower-case letters, digits and _ after"
                " identity.",
                "line 1: column 7 ('identity.email'): is there twice",
                "line 1: column 8 ('id'): is Wend's own id; people are imported by their external_id",
                "line 1: column 9 ('x:int'): 'int' is no type of column; there is one, text",
                "line 1: column 10 ('a.b'): attributes within attributes come as NDJSON; a column's name has no dot",
                "line 1: column 11 ('identity.external_id'): is called external_id",
            ],
        ),
    ],
    ids=["empty", "blank", "no-external-id", "near", "many"],
)
def test_a_header_that_does_not_hold_is_told(database: Database, content: str, said: list[str]) -> None:
    assert problems(database, content) == said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"external_id,name\nc-1,caf\xe9\n", "line 2: is not UTF-8 (byte 8); save the file as UTF-8"),
        ("external_id\nc-1\n".encode("utf-16"), "line 1: is UTF-16; save the file as UTF-8"),
        (b'external_id,name\nc-1,a\nc-2,"open\nc-3,b\n', "line 3: has a quote that is never closed"),
        (b'external_id,name\nc-1,"open\n' + b"x,y\n" * 50_000, "line 2: has a quote that is never closed"),
        (b'external_id,name\nc-1,"a"b\n', "line 2: is no CSV: ',' expected after '\"'"),
        (
            b"external_id\rc-1\rc-2\r",
            "line 1: has a carriage return in a cell without quotes; lines end with LF or CRLF",
        ),
        (b"external_id\n" + b"x" * 1_100_000, "line 2: is longer than 1,048,576 bytes"),
        (b"external_id,n\nc-1,a\0b\n", "line 2: attributes.n: is text with a NUL or half a surrogate pair"),
    ],
    ids=["latin-1", "utf-16", "open-quote", "open-quote-long", "after-quote", "cr", "long-line", "nul"],
)
def test_a_file_that_cannot_be_read_is_told_where(database: Database, content: bytes, said: str) -> None:
    assert problems(database, content, cut=4_096) == [said]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("external_id;email;ratio\r\nc-1;a@example.com;1,5\r\n", {}),
        ("external_id\temail\tratio\nc-1\ta@example.com\t1,5", {}),
        ('\ufeffexternal_id,"email",ratio\nc-1,a@example.com,"1,5"\n', {}),
        ('"external_id"|email|ratio\nc-1|a@example.com|1,5\n', {"separator": "|"}),
    ],
    ids=["semicolons", "tabs", "byte-order-mark", "given"],
)
def test_csv_comes_in_several_shapes(database: Database, content: str, options: dict[str, Any]) -> None:
    assert load(database, content, **options) == ImportReport(1, 0, 1)
    [person] = everyone(database).values()
    assert (person.external_id, person.identities, person.attributes) == (
        "c-1",
        {"email": "a@example.com"},
        {"ratio": "1,5"},
    )


def test_numbers_without_a_country_are_read_in_the_given_one(database: Database) -> None:
    load(database, "external_id,phone\nc-1,06 12 34 56 78\n", region="FR")
    assert everyone(database)["c-1"].identities == {"phone": "+33612345678"}


def test_a_file_without_people_imports_none(database: Database) -> None:
    assert load(database, "external_id,plan\n") == ImportReport(0, 0, 0)
    assert load(database, "", "ndjson") == ImportReport(0, 0, 0)


def test_the_progress_ends_at_the_end(database: Database) -> None:
    content = "external_id\n" + "".join(f"c-{n}\n" for n in range(2_500))
    seen: list[Progress] = []
    load(database, content, cut=1_000, on_progress=seen.append)
    checking = [each.done for each in seen if each.phase == "checking"]
    writing = [each.done for each in seen if each.phase == "writing"]
    assert checking == sorted(checking)
    assert checking[-1] == len(content)
    assert writing == sorted(writing)
    assert writing[-1] == 2_500
    assert {each.total for each in seen if each.phase == "writing"} == {2_500}


def test_a_failure_half_way_leaves_nothing_behind(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(progress: Progress) -> None:
        if progress.phase == "writing" and progress.done >= 2_000:
            raise OSError("the caller went away")

    content = "external_id,email\n" + "".join(f"c-{n},{n}@example.com\n" for n in range(3_000))
    with pytest.raises(OSError, match="went away"):
        load(database, content, cut=4_096, on_progress=broken)
    with database.read() as connection:
        for table in (profiles, identities):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 0


def test_memory_does_not_grow_with_the_file(database: Database) -> None:
    def chunks(lines: int) -> Iterator[bytes]:
        yield b"external_id,email,plan\n"
        for n in range(lines):
            yield f"{lines}-{n},{n}@example.com,{'x' * 200}\n".encode()

    def peak(lines: int) -> int:
        tracemalloc.start()
        import_profiles(database, chunks(lines), "csv", NOW)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    _, small, large = peak(1_999), peak(2_000), peak(7_000)
    # 5,000 lines more are 1.1 MB of file; in memory they are 16 bytes each.
    assert large - small < 500_000


def test_lines_that_only_hash_alike_are_not_taken_for_one_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wend.profiles.spool.hash", lambda _: 42, raising=False)
    with Spool() as spool:
        for line, external_id in enumerate(["a", "b", "c", "b", "d", "a"], start=2):
            spool.add(line, ProfileUpsert(external_id=external_id))
        assert spool.repeated() == [(5, 3), (7, 2)]


def test_imports_and_upserts_of_the_same_people_at_once_make_each_once(database: Database) -> None:
    together = threading.Barrier(6)
    people = [f"c-{n}" for n in range(300)]

    def one(turn: int) -> int:
        order = people if turn % 2 else people[::-1]
        together.wait(60)
        if turn < 3:
            content = ndjson(*[{"external_id": each, "attributes": {f"t{turn}": 1}} for each in order])
            return load(database, content, "ndjson", cut=4_096).created
        with database.write() as connection:
            upserts = [ProfileUpsert(external_id=each, attributes={f"t{turn}": 1}) for each in order]
            return sum(result.created for result in store.upsert(connection, upserts, NOW))

    with ThreadPoolExecutor(6) as threads:
        created = list(threads.map(one, range(6)))
    assert sum(created) == 300
    found = everyone(database)
    assert len(found) == 300
    assert all(person.attributes == {f"t{turn}": 1 for turn in range(6)} for person in found.values())


def test_an_import_that_meets_people_made_meanwhile_changes_them(postgres_database: Database) -> None:
    """The import has matched everybody and found nobody; then somebody else commits one of them."""
    content = ndjson(*[{"external_id": each, "attributes": {"imported": True}} for each in ("a", "b", "c")])

    def meanwhile(progress: Progress) -> None:
        if progress == Progress("writing", int(3 * 0.45), 3) and not everyone(postgres_database):
            with postgres_database.write() as connection:
                store.upsert(connection, [ProfileUpsert(external_id="b", attributes={"first": True})], NOW)

    report = load(postgres_database, content, "ndjson", LATER, on_progress=meanwhile)
    assert report == ImportReport(created=2, updated=1, lines=3)
    assert everyone(postgres_database)["b"].attributes == {"first": True, "imported": True}
    with postgres_database.read() as connection:
        assert store.count(connection) == 3


def test_a_database_that_is_away_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    database = Database(f"postgresql://wend@/wend?host={tmp_path_factory.mktemp('none')}")
    with pytest.raises(Unavailable):
        load(database, "external_id\nc-1\n")
    database.close()
