"""The OpenAPI document: whole, true, and what comes of asking everything that it allows."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from tests.api.conftest import Api
from tests.support.world import AWAIT_CLICK, MAIL

Operation = APIOperation[Any, Any, Any, Any]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


@pytest.fixture
def document(api_on_sqlite: Api) -> dict[str, Any]:
    found: dict[str, Any] = api_on_sqlite.ok("GET", "/openapi.json")
    return found


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(references(document)) <= known


def test_every_schema_is_one(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        try:
            Draft202012Validator({**schema, "components": document["components"]})
        except ValueError as error:
            pytest.fail(f"{name}: {error}")


def test_every_operation_is_described_tagged_and_named_once(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        assert operation["description"], (method, path)
        assert len(operation["tags"]) == 1, (method, path)
        assert operation["tags"][0] in tags


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                kinds = {"application/problem+json"} | ({"text/html"} if path.startswith("/c/") else set())
                assert set(response["content"]) == kinds, (method, path, status)
                assert response["description"], (method, path, status)


def test_every_example_is_what_its_schema_says(document: dict[str, Any]) -> None:
    seen = 0
    for path, method, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        validator = Draft202012Validator({**content.get("schema", {}), "components": document["components"]})
        for name, example in content.get("examples", {}).items():
            validator.validate(example["value"])
            seen += 1
            assert name, (path, method)
    assert seen >= 8


def test_whatever_the_document_allows_is_answered_as_it_says(api_on_sqlite: Api) -> None:
    """No defect, no undocumented status, and every answer as its schema says: by a few requests to each operation."""
    world = api_on_sqlite.world
    world.listed("gold", world.people(["ada", "bob"]))
    world.journey(MAIL, AWAIT_CLICK, entry={"segment": "gold"})
    run = world.enter(world.person("cem"))
    world.send(run)
    keys = st.sampled_from(["trip", "gold", "hello", "new"])
    ids = st.sampled_from([str(run), str(world.row(run).profile_id), str(world.row(run).entry_id)])
    parts = replace(api_on_sqlite.parts, public_url="http://testserver")  # the name under which it is asked
    schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(parts))
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        _try(found.ok(), keys, ids)


def _try(operation: Operation, keys: st.SearchStrategy[str], ids: st.SearchStrategy[str]) -> None:
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in _modes(operation)))

    @settings(max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=cases, known=st.fixed_dictionaries({"key": keys, "id": ids, "number": st.just(1)}))
    def ask(case: Case[Any], known: dict[str, Any]) -> None:
        for name in case.path_parameters:
            if name in known:
                case.path_parameters[name] = known[name]
        case.validate_response(case.call(), checks=CHECKS)

    ask()


def _modes(operation: Operation) -> list[GenerationMode]:
    """Return what can be asked: also wrongly, where there is something to get wrong."""
    takes = operation.body or operation.query or operation.path_parameters
    return [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if takes else [GenerationMode.POSITIVE]
