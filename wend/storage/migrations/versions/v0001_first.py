"""The first schema: people, content, journeys, passages, the ledger, events and the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The types as they were then: a migration never follows the code that comes after it.
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
INSTANT = sa.DateTime(timezone=True)
BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "profiles",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("time_zone", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_profiles"),
    )
    op.create_table(
        "identities",
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.id"], name="fk_identities_profile_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("profile_id", "namespace", name="pk_identities"),
    )
    op.create_index("ix_identities_namespace_value", "identities", ["namespace", "value"])
    op.create_index(
        "uq_identities_external_id",
        "identities",
        ["value"],
        unique=True,
        sqlite_where=sa.text("namespace = 'external_id'"),
        postgresql_where=sa.text("namespace = 'external_id'"),
    )
    op.create_table(
        "segments",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("rule", JSON),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_segments"),
    )
    op.create_table(
        "segment_members",
        sa.Column("segment_key", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("added_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["profiles.id"], name="fk_segment_members_profile_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["segment_key"], ["segments.key"], name="fk_segment_members_segment_key", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("segment_key", "profile_id", name="pk_segment_members"),
    )
    op.create_index("ix_segment_members_profile_id", "segment_members", ["profile_id"])
    op.create_table(
        "messages",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("draft", JSON, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_messages"),
    )
    op.create_table(
        "message_versions",
        sa.Column("message_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("links", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["message_key"], ["messages.key"], name="fk_message_versions_message_key"),
        sa.PrimaryKeyConstraint("message_key", "version", name="pk_message_versions"),
    )
    op.create_table(
        "journeys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("draft", JSON),
        sa.Column("draft_revision", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("first_published_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("key", name="pk_journeys"),
    )
    op.create_table(
        "journey_versions",
        sa.Column("journey_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", JSON, nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("messages", JSON, nullable=False),
        sa.Column("published_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["journey_key"], ["journeys.key"], name="fk_journey_versions_journey_key"),
        sa.PrimaryKeyConstraint("journey_key", "version", name="pk_journey_versions"),
    )
    op.create_table(
        "entries",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("journey_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("occurrence", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["journey_key"], ["journeys.key"], name="fk_entries_journey_key"),
        sa.PrimaryKeyConstraint("id", name="pk_entries"),
        sa.UniqueConstraint("journey_key", "occurrence", name="uq_entries_journey_key_occurrence"),
    )
    op.create_table(
        "exclusions",
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name="fk_exclusions_entry_id"),
        sa.PrimaryKeyConstraint("entry_id", "profile_id", name="pk_exclusions"),
    )
    op.create_index("ix_exclusions_entry_id_reason", "exclusions", ["entry_id", "reason"])
    op.create_index("ix_exclusions_profile_id", "exclusions", ["profile_id"])
    op.create_table(
        "erased_entrants",
        sa.Column("journey_key", sa.Text(), nullable=False),
        sa.Column("pseudonym", sa.Text(), nullable=False),
        sa.Column("erased_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["journey_key"], ["journeys.key"], name="fk_erased_entrants_journey_key"),
        sa.PrimaryKeyConstraint("journey_key", "pseudonym", name="pk_erased_entrants"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("journey_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("entry_number", sa.Integer(), nullable=False),
        sa.Column("once", sa.Boolean(), nullable=False),
        sa.Column("properties", JSON, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text()),
        sa.Column("kernel_state", JSON),
        sa.Column("answer", JSON),
        sa.Column("moves", sa.Integer(), nullable=False),
        sa.Column("listens", JSON),
        sa.Column("parked_until", INSTANT),
        sa.Column("woken", sa.Boolean(), nullable=False),
        sa.Column("decided_at", INSTANT),
        sa.Column("reason", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("claimed_at", INSTANT),
        sa.Column("started_at", INSTANT),
        sa.Column("ended_at", INSTANT),
        sa.ForeignKeyConstraint(["entry_id"], ["entries.id"], name="fk_runs_entry_id"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.UniqueConstraint(
            "journey_key", "profile_id", "entry_number", name="uq_runs_journey_key_profile_id_entry_number"
        ),
    )
    op.create_index("ix_runs_entry_id_state", "runs", ["entry_id", "state"])
    op.create_index("ix_runs_journey_key_created_at_id", "runs", ["journey_key", "created_at", "id"])
    op.create_index("ix_runs_journey_key_version_state_step", "runs", ["journey_key", "version", "state", "step"])
    op.create_index("ix_runs_profile_id", "runs", ["profile_id"])
    op.create_index(
        "ix_runs_to_start",
        "runs",
        ["entry_id", "id"],
        sqlite_where=sa.text("started_at IS NULL"),
        postgresql_where=sa.text("started_at IS NULL"),
    )
    op.create_index(
        "uq_runs_once",
        "runs",
        ["journey_key", "profile_id"],
        unique=True,
        sqlite_where=sa.text("once"),
        postgresql_where=sa.text("once"),
    )
    op.create_index(
        "uq_runs_open",
        "runs",
        ["journey_key", "profile_id"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_table(
        "moves",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("journey_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("from_step", sa.Text()),
        sa.Column("to_step", sa.Text(), nullable=False),
        sa.Column("why_kind", sa.Text(), nullable=False),
        sa.Column("why", JSON, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_moves_run_id"),
        sa.PrimaryKeyConstraint("run_id", "number", name="pk_moves"),
    )
    op.create_index(
        "ix_moves_journey_key_version_from_step_to_step_why_kind",
        "moves",
        ["journey_key", "version", "from_step", "to_step", "why_kind"],
    )
    op.create_table(
        "sent_messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("visit", sa.Integer(), nullable=False),
        sa.Column("journey_key", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("message_key", sa.Text(), nullable=False),
        sa.Column("message_version", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("claim", sa.Uuid(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("claimed_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT),
        sa.Column("reason", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("reference", sa.Text()),
        sa.Column("only_key", sa.Text()),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_sent_messages_run_id"),
        sa.PrimaryKeyConstraint("id", name="pk_sent_messages"),
        sa.UniqueConstraint("run_id", "step", "visit", name="uq_sent_messages_run_id_step_visit"),
    )
    op.create_index(
        "ix_sent_messages_journey_key_version_step_state", "sent_messages", ["journey_key", "version", "step", "state"]
    )
    op.create_index("ix_sent_messages_profile_id", "sent_messages", ["profile_id"])
    op.create_index(
        "uq_sent_messages_only_key",
        "sent_messages",
        ["only_key"],
        unique=True,
        sqlite_where=sa.text("only_key IS NOT NULL"),
        postgresql_where=sa.text("only_key IS NOT NULL"),
    )
    op.create_table(
        "sent_links",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["sent_messages.id"], name="fk_sent_links_message_id"),
        sa.PrimaryKeyConstraint("message_id", "number", name="pk_sent_links"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text()),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("occurred_at", INSTANT),
        sa.Column("properties", JSON, nullable=False),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text()),
        sa.Column("run_id", sa.Uuid()),
        sa.Column("message_id", sa.Uuid()),
        sa.Column("link", sa.Text()),
        sa.Column("late_microseconds", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("key", name="uq_events_key"),
    )
    op.create_index("ix_events_message_id_at", "events", ["message_id", "at"])
    op.create_index("ix_events_profile_id_name_at", "events", ["profile_id", "name", "at"])
    op.create_table(
        "outbox",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("done_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index(
        "ix_outbox_due",
        "outbox",
        ["due_at", "id"],
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "installation",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_installation"),
    )
    op.create_table(
        "idempotency",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("answer", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_idempotency"),
    )
