"""What the environment says becomes settings, or is refused."""

import pytest
from pydantic import ValidationError

from wend.runs.starting import ENTRY_RATE
from wend.settings import Settings


@pytest.mark.parametrize("text", ["500/s", "500"])
def test_the_rate_of_the_installation_is_written_as_a_journeys_or_as_a_number(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEND_ENTRY_RATE", text)
    assert Settings(_env_file=None).entry_rate == 500


@pytest.mark.parametrize("text", ["0/s", "500/m", "fast", "1000000/s"])
def test_what_is_no_rate_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEND_ENTRY_RATE", text)
    with pytest.raises(ValidationError, match="entry_rate"):
        Settings(_env_file=None)


def test_an_installation_that_is_told_nothing_has_the_rate_that_the_documents_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WEND_ENTRY_RATE", raising=False)
    assert Settings(_env_file=None).entry_rate == ENTRY_RATE
