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


@pytest.mark.parametrize("alone", ["WEND_DEPLOYMENT", "WEND_BUILD_ID"])
def test_a_build_is_named_by_both_or_not_at_all(alone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(_env_file=None).build_id is None
    monkeypatch.setenv(alone, "wend")
    with pytest.raises(ValidationError, match="WEND_DEPLOYMENT and WEND_BUILD_ID are set both, or neither"):
        Settings(_env_file=None)
    monkeypatch.setenv({"WEND_DEPLOYMENT": "WEND_BUILD_ID", "WEND_BUILD_ID": "WEND_DEPLOYMENT"}[alone], "1.4.0")
    if alone == "WEND_DEPLOYMENT":
        assert Settings(_env_file=None).build_id == "1.4.0"
    else:
        with pytest.raises(ValidationError, match="deployment"):  # Temporal joins both by a full stop
            Settings(_env_file=None)


def test_a_channel_has_the_rate_that_it_is_given_and_by_default_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEND_CHANNELS__EMAIL_RATE", "20/s")
    assert Settings(_env_file=None).channels.rates() == {"email": 20}
    monkeypatch.setenv("WEND_CHANNELS__SMS_RATE", "5")
    assert Settings(_env_file=None).channels.rates() == {"email": 20, "sms": 5}
    monkeypatch.setenv("WEND_CHANNELS__EMAIL_RATE", "")
    assert Settings(_env_file=None).channels.rates() == {"sms": 5}


@pytest.mark.parametrize("text", ["0/s", "1/m", "0.5/s", "1000000/s"])
def test_what_is_no_rate_of_a_channel_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEND_CHANNELS__SMS_RATE", text)
    with pytest.raises(ValidationError, match="sms_rate"):
        Settings(_env_file=None)


def test_metrics_are_told_beyond_this_machine_only_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEND_METRICS_HOST", "0.0.0.0")
    assert Settings(_env_file=None).metrics_port is None  # they are told nowhere
    monkeypatch.setenv("WEND_METRICS_PORT", "9464")
    with pytest.raises(ValidationError, match="without a key; set WEND_API_TOKEN, or WEND_METRICS_HOST"):
        Settings(_env_file=None)
    monkeypatch.setenv("WEND_API_TOKEN", "0123456789abcdef-secret")
    assert Settings(_env_file=None).metrics_port == 9464
