"""What may be asked of a profile, and what is said of the rest."""

from typing import Any

import pytest
from pydantic import ValidationError

from wend.journeys.problems import problems_of
from wend.profiles.model import ProfileUpsert


def problems(document: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        ProfileUpsert.model_validate(document)
    return [str(problem) for problem in problems_of(caught.value, document, ProfileUpsert.model_fields)]


def test_everything_wrong_is_told_with_its_path() -> None:
    said = problems(
        {
            "external_id": " ",
            "identities": {"email": "nobody", "phone": "0612345678", "Bad Name": "x", "crm_id": "fine"},
            "attributes": {"a.b": 1, "deep": {"list": [1, float("nan")]}, "half": "\ud800", "fine": None},
            "time_zone": "Europe/Pariss",
            "atributes": {},
        }
    )
    assert [problem.partition(": ")[0] for problem in said] == [
        "external_id",
        "identities.Bad Name",
        "attributes.a.b",
        "attributes.deep.list.1",
        "attributes.half",
        "time_zone",
        "atributes",
    ]
    assert said[-1].endswith("did you mean 'attributes'?")
    said = problems({"identities": {"email": "nobody", "external_id": "x", "crm_id": "fine"}})
    assert [problem.partition(": ")[0] for problem in said] == ["identities.email", "identities.external_id"]


@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, 1e300, float("inf"), "nul\0", {"nul\0": 1}, {1: 2}, {"a": object}, ("tuple",)],
    ids=repr,
)
def test_what_a_database_would_not_keep_is_refused(value: object) -> None:
    [said] = problems({"attributes": {"a": value}})
    assert said.startswith("attributes.a")


@pytest.mark.parametrize("name", ["", " a", "a.b", 'a"b', "a\\b", "a\nb", "x" * 101])
def test_a_name_that_no_condition_could_name_is_refused(name: str) -> None:
    [said] = problems({"attributes": {name: 1}})
    assert "names of attributes" in said


def test_a_nesting_without_end_is_refused() -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    [said] = problems({"attributes": {"a": value}})
    assert "levels deep" in said


@pytest.mark.parametrize(
    ("attributes", "fits"),
    [
        ({"a": "x" * 65_000}, True),
        ({"a": "x" * 65_536}, False),
        ({"a": "ü" * 33_000}, False),
        ({"a": ["x" * 65_536]}, False),
        ({str(n): n for n in range(5_000)}, True),
    ],
    ids=["long", "too-long", "two-bytes", "nested", "many"],
)
def test_attributes_have_a_largest_size(attributes: dict[str, Any], fits: bool) -> None:
    if fits:
        ProfileUpsert(attributes=attributes)
    else:
        assert problems({"attributes": attributes}) == ["attributes: are more than 65,536 bytes of JSON"]


def test_errors_do_not_repeat_what_was_given() -> None:
    with pytest.raises(ValidationError) as caught:
        ProfileUpsert.model_validate({"identities": {"email": "secret"}, "attributes": {"a": "secret\0"}})
    assert "secret" not in str(caught.value)
