"""Requests that the API's own description allows, and others: no fault, no undocumented answer.

`FIVE_DOLLAR_FUZZ_CASES=500` tries as many of each operation and kind.
"""

import os
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi import checks
from starlette.testclient import TestClient

from tests.server.factories import API, claim_one, submit

load_all_checks()
NUM_CASES = int(os.environ.get("FIVE_DOLLAR_FUZZ_CASES", "20"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def description(client: TestClient) -> dict[str, Any]:
    """The API's description, less the patterns for which no text can be made up."""

    def known(value: Any) -> Any:
        if isinstance(value, list):
            return [known(item) for item in value]
        if isinstance(value, dict):
            return {
                key: known(item)
                for key, item in value.items()
                if not (key == "pattern" and isinstance(item, str) and "\\p{" in item)
            }
        return value

    document: dict[str, Any] = known(client.get(f"{API}/openapi.json").json())
    return document


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_answers_as_documented(client: TestClient, mode: GenerationMode) -> None:
    submit(client)
    claim_one(client)
    schema = schemathesis.openapi.from_dict(description(client))
    schema.app = client.app
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 30
    num_asked = 0
    for operation in operations:

        @settings(max_examples=NUM_CASES, deadline=None, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def answers(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        # Of an operation that takes nothing but an id, no request is against the description.
        with suppress(Unsatisfiable):
            answers()
            num_asked += 1
    assert num_asked > 15
