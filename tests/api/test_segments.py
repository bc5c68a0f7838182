"""Segments over HTTP."""

from uuid import uuid4

from tests.api.conftest import Api

GOLD = {"attribute": "tier", "op": "eq", "value": "gold"}
YAML = {"content-type": "application/yaml"}


def people(api: Api) -> None:
    api.world.people(["ada", "bob"], tier="gold")
    api.world.people(["cem"], tier="tin")


def test_a_segment_by_rule(api: Api) -> None:
    people(api)
    made = api.ok("PUT", "/v1/segments/gold", {"name": "Gold", "rule": GOLD})
    assert (made["kind"], made["rule"]) == ("rule", GOLD)
    assert api.ok("GET", "/v1/segments/gold") == made
    assert api.ok("GET", "/v1/segments/gold/count") == {"count": 2}
    sample = api.ok("GET", "/v1/segments/gold/sample?size=1")["items"]
    assert sample[0]["external_id"] in ("ada", "bob")
    members = api.ok("GET", "/v1/segments/gold/members?limit=1")
    rest = api.ok("GET", f"/v1/segments/gold/members?limit=1&cursor={members['next']}")
    assert rest["next"] is None
    assert {page["items"][0]["external_id"] for page in (members, rest)} == {"ada", "bob"}

    assert [each["key"] for each in api.ok("GET", "/v1/segments")["items"]] == ["gold"]
    assert api.ok("DELETE", "/v1/segments/gold") is None
    api.problem(404, "GET", "/v1/segments/gold")
    api.problem(404, "DELETE", "/v1/segments/gold")


def test_a_segment_in_yaml(api_on_sqlite: Api) -> None:
    text = "name: No\nrule:\n  not: {attribute: answer, op: eq, value: no}\n"
    made = api_on_sqlite.ok("PUT", "/v1/segments/refusers", content=text, headers=YAML)
    assert made["rule"] == {"not": {"attribute": "answer", "op": "eq", "value": "no"}}


def test_a_list_and_its_members(api: Api) -> None:
    people(api)
    api.ok("PUT", "/v1/segments/staff", {"name": "Staff", "kind": "list"})
    added = api.ok("POST", "/v1/segments/staff/members", {"add": {"external_ids": ["ada", "bob", "nobody"]}})
    assert added == {"added": 2, "removed": 0, "unknown": {"profile_ids": [], "external_ids": ["nobody"]}}
    moved = api.ok(
        "POST", "/v1/segments/staff/members", {"add": {"external_ids": ["cem"]}, "remove": {"external_ids": ["bob"]}}
    )
    assert (moved["added"], moved["removed"]) == (1, 1)
    stranger = str(uuid4())
    replaced = api.ok("PUT", "/v1/segments/staff/members", {"external_ids": ["bob"], "profile_ids": [stranger]})
    assert replaced == {"added": 1, "removed": 2, "unknown": {"profile_ids": [stranger], "external_ids": []}}
    members = api.ok("GET", "/v1/segments/staff/members")["items"]
    assert [member["external_id"] for member in members] == ["bob"]


def test_a_rule_has_no_members_to_add_and_a_list_no_rule(api_on_sqlite: Api) -> None:
    api = api_on_sqlite
    api.ok("PUT", "/v1/segments/gold", {"name": "Gold", "rule": GOLD})
    assert api.problem(409, "POST", "/v1/segments/gold/members", {})["type"] == "urn:wend:problem:wrong-kind"
    api.problem(409, "PUT", "/v1/segments/gold", {"name": "Gold", "kind": "list"})
    api.problem(404, "POST", "/v1/segments/nobody/members", {})
    assert "say kind: list" in api.problems("PUT", "/v1/segments/x", {"name": "X"})[""]
    assert "no rule" in api.problems("PUT", "/v1/segments/x", {"name": "X", "kind": "list", "rule": GOLD})[""]


def test_every_problem_of_a_rule_is_told_with_its_path(api_on_sqlite: Api) -> None:
    rule = {"all": [{"attribute": "tier", "op": "equals", "value": 1}, {"identty": "email"}]}
    problems = api_on_sqlite.problems("PUT", "/v1/segments/x", {"name": "X", "rule": rule})
    assert set(problems) == {"rule.all.0.op", "rule.all.1"}
    assert "did you mean 'identity'" in problems["rule.all.1"]


def test_an_unknown_segment_in_a_rule_is_told_with_a_suggestion(api: Api) -> None:
    api.ok("PUT", "/v1/segments/gold", {"name": "Gold", "rule": GOLD})
    rule = {"any": [{"segment": "glod"}, {"segment": "silver"}]}
    expected = {
        "rule.any.0.segment": "there is no segment 'glod'; did you mean 'gold'?",
        "rule.any.1.segment": "there is no segment 'silver'",
    }
    assert api.problems("PUT", "/v1/segments/silver", {"name": "S", "rule": rule}).keys() == expected.keys()
    assert api.problems("POST", "/v1/segments/preview", {"rule": rule}) == expected


def test_a_rule_is_tried_before_it_is_saved(api: Api) -> None:
    people(api)
    api.ok("PUT", "/v1/segments/gold", {"name": "Gold", "rule": GOLD})
    found = api.ok("POST", "/v1/segments/preview", {"rule": {"not": {"segment": "gold"}}, "sample": 5})
    assert found["count"] == 1
    assert [profile["external_id"] for profile in found["sample"]] == ["cem"]
    assert api.ok("POST", "/v1/segments/preview", {"rule": GOLD, "sample": 0}) == {"count": 2, "sample": []}
    assert len(api.ok("GET", "/v1/segments")["items"]) == 1


def test_a_segment_that_is_used_stays(api: Api) -> None:
    api.world.rule("gold", GOLD)
    api.world.listed("staff")
    api.world.listed("vips")
    api.ok("PUT", "/v1/segments/both", {"name": "Both", "rule": {"all": [{"segment": "gold"}, {"segment": "staff"}]}})
    branch = {
        "id": "ask",
        "type": "if",
        "cases": [{"when": {"not": {"segment": "vips"}}, "next": "exit"}],
        "else": "exit",
    }
    api.world.journey(branch, entry={"segment": "gold", "exclude": ["staff"]})

    told = api.problem(409, "DELETE", "/v1/segments/gold")
    assert told["type"] == "urn:wend:problem:segment-in-use"
    assert "segment 'both', journey 'trip'" in told["detail"]
    assert "journey 'trip'" in api.problem(409, "DELETE", "/v1/segments/vips")["detail"]
    api.world.stop()
    api.ok("DELETE", "/v1/segments/vips")
