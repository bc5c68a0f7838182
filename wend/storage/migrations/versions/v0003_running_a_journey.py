"""Running a journey: pauses, light changes, the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
INSTANT = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("journeys", sa.Column("pause", JSON))
    op.add_column("journeys", sa.Column("freezes", JSON))
    op.add_column("journeys", sa.Column("resume_at", INSTANT))
    op.add_column("journeys", sa.Column("description", sa.Text()))
    op.add_column("journeys", sa.Column("rate", sa.Integer()))
    op.add_column("journeys", sa.Column("message_choices", JSON))
    op.add_column("runs", sa.Column("held_at", INSTANT))
    op.create_index(
        "ix_runs_held",
        "runs",
        ["journey_key", "id"],
        sqlite_where=sa.text("held_at IS NOT NULL"),
        postgresql_where=sa.text("held_at IS NOT NULL"),
    )
    op.create_index(
        "ix_runs_parked",
        "runs",
        ["journey_key", "parked_until"],
        sqlite_where=sa.text("parked_until IS NOT NULL AND held_at IS NULL AND ended_at IS NULL"),
        postgresql_where=sa.text("parked_until IS NOT NULL AND held_at IS NULL AND ended_at IS NULL"),
    )
    op.create_index("ix_sent_messages_journey_key_claimed_at", "sent_messages", ["journey_key", "claimed_at"])
    op.create_table(
        "audit",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("journey_key", sa.Text()),
        sa.Column("version", sa.Integer()),
        sa.Column("run_id", sa.Uuid()),
        sa.Column("profile_id", sa.Uuid()),
        sa.Column("detail", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    op.create_index("ix_audit_journey_key_id", "audit", ["journey_key", "id"])
    op.create_index("ix_audit_profile_id", "audit", ["profile_id"])
