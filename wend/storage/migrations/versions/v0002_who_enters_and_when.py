"""Who enters, and when: joiners, re-entry, missed occurrences, ceilings."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    # Columns are added as they are, without alembic's batches: those copy a table, and runs refer to entries.
    op.add_column("journeys", sa.Column("closes_at", INSTANT))
    op.add_column("journeys", sa.Column("watched_until", INSTANT))
    op.add_column("journeys", sa.Column("read_at", INSTANT))
    op.add_column("entries", sa.Column("reason", sa.Text()))
    op.add_column("entries", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(
        "ix_entries_not_done",
        "entries",
        ["state", "journey_key"],
        sqlite_where=sa.text("state <> 'done'"),
        postgresql_where=sa.text("state <> 'done'"),
    )
    _add_index("ix_entries_of_segments", "entries", ["journey_key", "due_at", "id"], "kind <> 'api'")
    _add_index("ix_entries_through_api", "entries", ["journey_key", "due_at", "id"], "kind = 'api'")
    _add_index("ix_sent_messages_uncertain", "sent_messages", ["state", "journey_key"], "state = 'uncertain'")
    op.add_column("runs", sa.Column("overlapping", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("joined_at", INSTANT))
    op.drop_index("uq_runs_open", table_name="runs")
    op.create_index(
        "uq_runs_open",
        "runs",
        ["journey_key", "profile_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL AND NOT overlapping"),
        postgresql_where=sa.text("ended_at IS NULL AND NOT overlapping"),
    )
    _add_index(
        "ix_runs_being_started", "runs", ["entry_id", "claimed_at"], "started_at IS NULL AND claimed_at IS NOT NULL"
    )
    op.create_table(
        "audience",
        sa.Column("journey_key", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["journey_key"], ["journeys.key"], name="fk_audience_journey_key"),
        sa.PrimaryKeyConstraint("journey_key", "profile_id", name="pk_audience"),
    )
    op.create_table(
        "paces",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("free_at", INSTANT, nullable=False),
        sa.Column("even_at", INSTANT),
        sa.Column("hour_at", INSTANT),
        sa.Column("hour_count", sa.Integer(), nullable=False),
        sa.Column("day_at", INSTANT),
        sa.Column("day_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_paces"),
    )


def _add_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
