"""Write the migration from the newest revision to the tables as they are now: ``make migration ARGS='what changes'``.

The draft is to be read and finished by hand: alembic sees added and removed tables, columns and indexes, but not what
has to happen to the rows.
"""

import sys
from importlib.resources import files
from tempfile import TemporaryDirectory

from alembic import command
from alembic.config import Config

from wend.storage.database import Database
from wend.storage.schema import head, upgrade


def write(what: str) -> None:
    """Write the next revision's module, named after ``what`` changes."""
    config = Config()
    config.set_main_option("script_location", str(files("wend.storage") / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "v%%(rev)s_%%(slug)s")
    with TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/migrated.db"
        upgrade(url)
        database = Database(url)
        try:
            with database.write() as connection:
                config.attributes["connection"] = connection
                command.revision(config, message=what, autogenerate=True, rev_id=f"{int(head()) + 1:04}")
        finally:
            database.close()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Say what changes: make migration ARGS='profiles get a language'")
    write(" ".join(sys.argv[1:]))
