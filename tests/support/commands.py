"""The command line against the real API: served by this process, on a port of its own."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from typer.testing import CliRunner

from api.parts import ApiParts
from tests.support.apis import make_app
from wend.cli import app


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    exit_code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed to standard output, which must be JSON and nothing else."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """Everything that it printed, as one line, so that it does not matter where lines were broken."""
        return " ".join((self.out + " " + self.err).split())


@contextmanager
def served(parts: ApiParts) -> Iterator[str]:
    """Serve the API inside the block; yields its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(make_app(parts), log_config=None, ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def run_command(
    *words: object, api: str | None = None, input: str | bytes | None = None, env: Mapping[str, str] | None = None
) -> Ran:
    """Run ``wend`` with these words, against the API at that address."""
    # As wide as somebody who reads tables has it, wherever the tests run.
    environment = {"WEND_API_URL": api, "WEND_API_TOKEN": None, "TERM": "dumb", "COLUMNS": "200", **(env or {})}
    result = CliRunner().invoke(app, [str(word) for word in words], input=input, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)
