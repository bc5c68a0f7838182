"""One stage for all scenarios: starting it takes longer than playing one."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from tests.support.scenarios_server import Stage, stage
from wend.storage.database import Database


@pytest_asyncio.fixture(scope="session")
async def server(
    time_skipping_env: WorkflowEnvironment, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """A stage on a Temporal server that skips time."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("scenarios") / "wend.db")
    database = Database(f"sqlite:///{path}")
    async with stage(time_skipping_env, database) as set_up:
        yield set_up
    database.close()
