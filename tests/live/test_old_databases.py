"""An old database is migrated under the new release's worker, and its open runs go on, on a real server."""

import pytest

from tests.support.old_databases import OLD_DATABASES
from tests.support.upgrading import upgrade_under_a_worker
from wend.devserver import PROMPT_TIMERS, DevServer
from wend.temporal import connect


@pytest.mark.parametrize("revision", [OLD_DATABASES[0], OLD_DATABASES[-1]])
async def test_open_runs_of_an_old_database_go_on_after_its_migration(revision: str, empty_url: str) -> None:
    with DevServer(port=0, ui_port=None, dynamic_config=PROMPT_TIMERS) as server:
        upgraded = await upgrade_under_a_worker(empty_url, await connect(server.address), revision)
    upgraded.check(revision)
