"""The schema. One definition for SQLite and PostgreSQL; alembic migrations follow it.

Locks are always taken in the order journey → profile → runs by id.

Who owns what: ``runs`` is the authority on where a person is (Temporal's histories hold copies of its answers),
``events`` on what happened, ``sent_messages`` (the ledger) on what was sent, ``outbox`` on what Temporal has yet to
hear.
"""

import sqlalchemy as sa

from wend.storage.types import BigId, Instant, Json

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# -- people -----------------------------------------------------------------------------------------------------

profiles = sa.Table(
    "profiles",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("attributes", Json, nullable=False),
    sa.Column("time_zone", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

identities = sa.Table(
    "identities",
    metadata,
    sa.Column("profile_id", sa.ForeignKey("profiles.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("namespace", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Index("ix_identities_namespace_value", "namespace", "value"),
    # The caller's own id is the one identity that two profiles never share; a family may share an address.
    sa.Index(
        "uq_identities_external_id",
        "value",
        unique=True,
        sqlite_where=sa.text("namespace = 'external_id'"),
        postgresql_where=sa.text("namespace = 'external_id'"),
    ),
)

segments = sa.Table(
    "segments",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),  # rule | list
    sa.Column("rule", Json),  # of a rule segment
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

segment_members = sa.Table(
    "segment_members",
    metadata,
    sa.Column("segment_key", sa.ForeignKey("segments.key", ondelete="CASCADE"), primary_key=True),
    sa.Column("profile_id", sa.ForeignKey("profiles.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("added_at", Instant, nullable=False),
    sa.Index(None, "profile_id"),
)

# -- content ----------------------------------------------------------------------------------------------------

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("draft", Json, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # draft | ready: whether the draft is the newest version
    sa.Column("version", sa.Integer, nullable=False),  # the newest ready version; 0: none yet
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
)

message_versions = sa.Table(
    "message_versions",
    metadata,
    sa.Column("message_key", sa.ForeignKey("messages.key"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("content", Json, nullable=False),
    sa.Column("links", Json, nullable=False),  # names, in the order of their numbers
    sa.Column("created_at", Instant, nullable=False),
)

# -- journeys ---------------------------------------------------------------------------------------------------

journeys = sa.Table(
    "journeys",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # draft | scheduled | live | paused | closed | finished | stopped
    sa.Column("draft", Json),
    sa.Column("draft_revision", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),  # the newest published version; 0: none yet
    sa.Column("first_published_at", Instant),  # schedules count from here: a new version does not repeat a start
    sa.Column("closes_at", Instant),  # of the newest version's window
    sa.Column("watched_until", Instant),  # each occurrence up to here has an entry, or was written down as missed
    sa.Column("read_at", Instant),  # when its segments were last read for joiners
    sa.Column("pause", Json),  # while it is paused: what was chosen for it (wend.lifecycle.pausing)
    sa.Column("freezes", Json),  # [from, to] of each pause that froze waits; to is null while it lasts
    sa.Column("resume_at", Instant),  # when a paused journey goes on by itself
    sa.Column("description", sa.Text),  # null: the newest version's
    sa.Column("rate", sa.Integer),  # profiles per second; null: the version's
    sa.Column("message_choices", Json),  # message key → [its version, up to which journey version it is sent]
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("updated_at", Instant, nullable=False),
    sa.Column("ended_at", Instant),
)

journey_versions = sa.Table(
    "journey_versions",
    metadata,
    sa.Column("journey_key", sa.ForeignKey("journeys.key"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("definition", Json, nullable=False),
    sa.Column("content_hash", sa.Text, nullable=False),
    sa.Column("messages", Json, nullable=False),  # message key → version: what this version sends
    sa.Column("published_at", Instant, nullable=False),
)

entries = sa.Table(
    "entries",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("journey_key", sa.ForeignKey("journeys.key"), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("occurrence", sa.Text, nullable=False),  # nominal local time, UTC instant, or api/…
    sa.Column("kind", sa.Text, nullable=False),  # segment | joiners | api
    # failing (its segments cannot be read, and are tried again) → open → done; missed, skipped: nobody was taken in;
    # asked: is to be after all
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),  # why it was missed or skipped
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("opened_at", Instant, nullable=False),  # or written down as missed
    sa.Column("finished_at", Instant),
    sa.Column("members", sa.Integer, nullable=False),  # counted from the segment itself
    sa.Column("error", sa.Text),  # of the last attempt to read its segments
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),  # to read them, that failed
    sa.UniqueConstraint("journey_key", "occurrence"),
    sa.Index(  # what somebody may have to look after; the many that are done are left out
        "ix_entries_not_done",
        "state",
        "journey_key",
        sqlite_where=sa.text("state <> 'done'"),
        postgresql_where=sa.text("state <> 'done'"),
    ),
    sa.Index(  # those of segments, which are listed by themselves, among any number of starts through the API
        "ix_entries_of_segments",
        "journey_key",
        "due_at",
        "id",
        sqlite_where=sa.text("kind <> 'api'"),
        postgresql_where=sa.text("kind <> 'api'"),
    ),
    sa.Index(
        "ix_entries_through_api",
        "journey_key",
        "due_at",
        "id",
        sqlite_where=sa.text("kind = 'api'"),
        postgresql_where=sa.text("kind = 'api'"),
    ),
)

exclusions = sa.Table(
    "exclusions",
    metadata,
    sa.Column("entry_id", sa.ForeignKey("entries.id"), primary_key=True),
    sa.Column("profile_id", sa.Uuid, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Index(None, "entry_id", "reason"),
    sa.Index(None, "profile_id"),
)

audience = sa.Table(  # who was a member when a journey that looks for joiners last looked
    "audience",
    metadata,
    sa.Column("journey_key", sa.ForeignKey("journeys.key"), primary_key=True),
    sa.Column("profile_id", sa.Uuid, primary_key=True),
    sa.Column("seen_at", Instant, nullable=False),  # the first look of this membership
)

paces = sa.Table(  # how much of a rate or a ceiling has been used up, by everybody who starts runs
    "paces",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),  # a journey's key behind ``journey/``, or ``installation``
    sa.Column("free_at", Instant, nullable=False),  # when the bucket of the rate is full again
    sa.Column("even_at", Instant),  # when the next start of a spread ceiling is due
    sa.Column("hour_at", Instant),  # the beginning of the hour that is counted in
    sa.Column("hour_count", sa.Integer, nullable=False),
    sa.Column("day_at", Instant),
    sa.Column("day_count", sa.Integer, nullable=False),
)

erased_entrants = sa.Table(  # once ever outlives a deleted profile
    "erased_entrants",
    metadata,
    sa.Column("journey_key", sa.ForeignKey("journeys.key"), primary_key=True),
    sa.Column("pseudonym", sa.Text, primary_key=True),  # keyed hash of the external id
    sa.Column("erased_at", Instant, nullable=False),
)

# -- passages ---------------------------------------------------------------------------------------------------

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("journey_key", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("entry_id", sa.ForeignKey("entries.id"), nullable=False),
    sa.Column("profile_id", sa.Uuid, nullable=False),  # no foreign key: runs outlive an erased profile
    sa.Column("entry_number", sa.Integer, nullable=False),  # ordinal of the run per (journey, profile), from 1
    sa.Column("once", sa.Boolean, nullable=False),  # claims the profile's only entry ever
    sa.Column("overlapping", sa.Boolean, nullable=False, server_default=sa.false()),  # beside others
    sa.Column("joined_at", Instant),  # when the profile joined the segment, as far as that is known
    sa.Column("properties", Json, nullable=False),  # given by whoever started it
    # pending → running (from its first decision on) → completed | exited | stopped | failed
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("sequence", sa.Integer, nullable=False),  # counts answers; the workflow names the one it holds
    sa.Column("step", sa.Text),  # where the run is; null before the first decision and after the end
    sa.Column("kernel_state", Json),  # wend.journeys RunState
    sa.Column("answer", Json),  # the last plan given: Send | Park | Finish
    sa.Column("moves", sa.Integer, nullable=False),  # moves journaled so far
    sa.Column("listens", Json),  # what a park listens to
    sa.Column("parked_until", Instant),
    sa.Column("woken", sa.Boolean, nullable=False),  # a bell is on its way since the last decision
    sa.Column("decided_at", Instant),  # the instant of the last decision; later events are stamped after it
    sa.Column("held_at", Instant),  # since when it waits for a resumption, or to be woken after it was moved
    sa.Column("reason", sa.Text),  # why it exited or failed
    sa.Column("error", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("claimed_at", Instant),  # by whoever starts its workflow
    sa.Column("started_at", Instant),  # its workflow exists; null and claimed: perhaps
    sa.Column("ended_at", Instant),
    sa.UniqueConstraint("journey_key", "profile_id", "entry_number"),
    sa.Index(
        "uq_runs_open",
        "journey_key",
        "profile_id",
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL AND NOT overlapping"),
        postgresql_where=sa.text("ended_at IS NULL AND NOT overlapping"),
    ),
    sa.Index(
        "uq_runs_once",
        "journey_key",
        "profile_id",
        unique=True,
        sqlite_where=sa.text("once"),
        postgresql_where=sa.text("once"),
    ),
    sa.Index(
        "ix_runs_to_start",
        "entry_id",
        "id",
        sqlite_where=sa.text("started_at IS NULL"),
        postgresql_where=sa.text("started_at IS NULL"),
    ),
    sa.Index(  # those that are being started, among any number that wait for their turn
        "ix_runs_being_started",
        "entry_id",
        "claimed_at",
        sqlite_where=sa.text("started_at IS NULL AND claimed_at IS NOT NULL"),
        postgresql_where=sa.text("started_at IS NULL AND claimed_at IS NOT NULL"),
    ),
    sa.Index(
        "ix_runs_held",
        "journey_key",
        "id",
        sqlite_where=sa.text("held_at IS NOT NULL"),
        postgresql_where=sa.text("held_at IS NOT NULL"),
    ),
    sa.Index(  # by when each is to be woken, in their order
        "ix_runs_parked",
        "journey_key",
        "parked_until",
        sqlite_where=sa.text("parked_until IS NOT NULL AND held_at IS NULL AND ended_at IS NULL"),
        postgresql_where=sa.text("parked_until IS NOT NULL AND held_at IS NULL AND ended_at IS NULL"),
    ),
    sa.Index(None, "journey_key", "version", "state", "step"),
    sa.Index(None, "journey_key", "created_at", "id"),
    sa.Index(None, "entry_id", "state"),
    sa.Index(None, "profile_id"),
)

moves = sa.Table(
    "moves",
    metadata,
    sa.Column("run_id", sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),  # from 1, without gaps
    sa.Column("journey_key", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("from_step", sa.Text),  # null: the run's entry
    sa.Column("to_step", sa.Text, nullable=False),  # ``exit`` is the end
    sa.Column("why_kind", sa.Text, nullable=False),
    sa.Column("why", Json, nullable=False),
    sa.Index(None, "journey_key", "version", "from_step", "to_step", "why_kind"),
)

sent_messages = sa.Table(  # the ledger
    "sent_messages",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),  # made of run, step and visit: the provider's idempotency key
    sa.Column("run_id", sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("visit", sa.Integer, nullable=False),
    sa.Column("journey_key", sa.Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("profile_id", sa.Uuid, nullable=False),
    sa.Column("message_key", sa.Text, nullable=False),
    sa.Column("message_version", sa.Integer, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    # claimed → accepted | refused | uncertain; released: surely not accepted, free for the next attempt
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("claim", sa.Uuid, nullable=False),  # names the attempt that holds the claim
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("claimed_at", Instant, nullable=False),  # of the current claim; the sending time
    sa.Column("settled_at", Instant),
    sa.Column("reason", sa.Text),
    sa.Column("detail", sa.Text),
    sa.Column("reference", sa.Text),  # the provider's own id
    sa.Column("only_key", sa.Text),  # set where an address gets this message once per journey or entry
    # What the provider told afterwards: the earliest instant that it named for each, so that order and copies of its
    # events do not matter.
    sa.Column("delivered_at", Instant),
    sa.Column("opened_at", Instant),
    sa.Column("clicked_at", Instant),
    sa.Column("bounced_at", Instant),
    sa.Column("rejected_at", Instant),  # it never took the message, or dropped it
    sa.Column("resend_asked_at", Instant),  # an operator has it sent again; null once that has ended
    sa.UniqueConstraint("run_id", "step", "visit"),
    sa.Index(
        "uq_sent_messages_only_key",
        "only_key",
        unique=True,
        sqlite_where=sa.text("only_key IS NOT NULL"),
        postgresql_where=sa.text("only_key IS NOT NULL"),
    ),
    sa.Index(None, "journey_key", "version", "step", "state"),
    sa.Index(None, "journey_key", "claimed_at"),  # what was sent lately
    sa.Index(  # few, and somebody may have to settle them
        "ix_sent_messages_uncertain",
        "state",
        "journey_key",
        sqlite_where=sa.text("state = 'uncertain'"),
        postgresql_where=sa.text("state = 'uncertain'"),
    ),
    sa.Index(  # whose attempt may have died
        "ix_sent_messages_claimed",
        "journey_key",
        "claimed_at",
        sqlite_where=sa.text("state = 'claimed'"),
        postgresql_where=sa.text("state = 'claimed'"),
    ),
    sa.Index(  # by which a provider may call it
        "ix_sent_messages_reference",
        "reference",
        sqlite_where=sa.text("reference IS NOT NULL"),
        postgresql_where=sa.text("reference IS NOT NULL"),
    ),
    sa.Index(None, "profile_id"),
)

provider_events = sa.Table(  # what providers told about messages, as it came; each once
    "provider_events",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("key", sa.Text, nullable=False, unique=True),  # the provider's own id of the event
    sa.Column("message_id", sa.ForeignKey("sent_messages.id"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),  # delivered | opened | clicked | bounced | rejected
    sa.Column("occurred_at", Instant, nullable=False),  # as the provider says
    sa.Column("received_at", Instant, nullable=False),
    sa.Column("detail", sa.Text),  # a code; nothing of a person
    sa.Index(None, "message_id"),
)

sent_links = sa.Table(
    "sent_links",
    metadata,
    sa.Column("message_id", sa.ForeignKey("sent_messages.id"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("key", sa.Text, unique=True),  # the source's own id of the event, for idempotency; null for clicks
    sa.Column("profile_id", sa.Uuid, nullable=False),
    sa.Column("name", sa.Text, nullable=False),  # ``click`` is ours
    sa.Column("at", Instant, nullable=False),  # the stamp: decides
    sa.Column("occurred_at", Instant),  # the sender's own time: shown, decides nothing
    sa.Column("properties", Json, nullable=False),
    sa.Column("counted", sa.Boolean, nullable=False),  # false: kept, never matched (bots, HEAD requests)
    sa.Column("note", sa.Text),  # why it was not counted: head | bot | …
    sa.Column("run_id", sa.Uuid),  # of a click
    sa.Column("message_id", sa.Uuid),  # of a click: the sent message
    sa.Column("link", sa.Text),  # of a click: the link's name
    sa.Column("late_microseconds", sa.BigInteger),  # of a click after its wait's deadline: by how much
    sa.Index(None, "profile_id", "name", "at"),
    sa.Index(None, "message_id", "at"),
)

audit = sa.Table(  # who did what; never changed
    "audit",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("by", sa.Text, nullable=False),  # as the caller said it; ``wend`` by itself
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("journey_key", sa.Text),
    sa.Column("version", sa.Integer),
    sa.Column("run_id", sa.Uuid),
    sa.Column("profile_id", sa.Uuid),
    sa.Column("detail", Json, nullable=False),
    sa.Index(None, "journey_key", "id"),
    sa.Index(None, "profile_id"),
)

reconciliations = sa.Table(  # comparisons of a journey's rows with each other and with Temporal
    "reconciliations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("journey_key", sa.Text, nullable=False),
    sa.Column("asked_at", Instant, nullable=False),
    sa.Column("by", sa.Text, nullable=False),  # as the caller said it; ``wend`` by schedule
    sa.Column("options", Json, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # asked → running → done | failed
    sa.Column("started_at", Instant),
    sa.Column("finished_at", Instant),
    sa.Column("report", Json),  # what was found, by kind; what was repaired, what remains
    sa.Column("error", sa.Text),
    sa.Index(None, "journey_key", "asked_at"),
)

# -- towards Temporal, and callers' retries -----------------------------------------------------------------------

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),  # run id or journey key
    sa.Column("payload", Json, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("done_at", Instant),
    sa.Index(
        "ix_outbox_due",
        "due_at",
        "id",
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    ),
)

installation = sa.Table(  # what this installation made up for itself once
    "installation",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

idempotency = sa.Table(
    "idempotency",
    metadata,
    sa.Column("scope", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("answer", Json, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
