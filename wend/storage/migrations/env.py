"""How alembic runs here: on the connection that ``wend.storage.schema`` hands over, inside its transaction."""

from alembic import context

from wend.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most of a table: later migrations copy it, in batch mode.
    render_as_batch=context.config.attributes["connection"].dialect.name == "sqlite",
)
context.run_migrations()
