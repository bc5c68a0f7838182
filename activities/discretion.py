"""Keeps people's data out of histories: what a defect's exception says may quote what it choked on."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from temporalio.exceptions import ApplicationError, TemporalError

from wend.errors import WendError

log = structlog.get_logger()


@contextmanager
def discreet() -> Iterator[None]:
    """Let our own errors pass, whose words are ours; of any other, tell Temporal the kind and the log the place.

    Raises:
        ApplicationError: In place of an exception that is not ours; the activity is tried again as for any failure.
    """
    try:
        yield
    except (WendError, TemporalError):
        raise
    except Exception as defect:  # noqa: BLE001
        at = "".join(traceback.format_tb(defect.__traceback__))
        log.error("activity failed by a defect", defect=type(defect).__name__, at=at)
        kind = type(defect).__name__
        raise ApplicationError(f"a defect, {kind}; the worker's log says where", type=kind) from None
