"""What a defect says stays out of histories."""

import pytest
from structlog.testing import capture_logs
from temporalio.exceptions import ApplicationError

from activities.discretion import discreet
from wend.errors import Conflict


def test_a_defect_is_told_by_its_kind_alone() -> None:
    address = "ada@example.com"
    with capture_logs() as logged, pytest.raises(ApplicationError) as raised, discreet():
        int(address)
    assert raised.value.type == "ValueError"
    assert raised.value.__cause__ is None
    assert address not in f"{raised.value}{raised.value.details}{logged}"
    assert "test_discretion.py" in logged[0]["at"]


def test_our_own_errors_keep_their_words() -> None:
    with pytest.raises(Conflict, match="closed"), discreet():
        raise Conflict("The journey is closed.")
