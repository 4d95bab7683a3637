-- Recurring meetings, and invitations on their way to guests.

-- The rule (RFC 5545 §3.3.10) as it was understood; starts_at and ends_at are those of the first
-- occurrence.
ALTER TABLE meetings ADD COLUMN recurrence TEXT;
-- When the last occurrence ends, reckoned from the rule; null without one.
ALTER TABLE meetings ADD COLUMN series_ends_at INTEGER;

-- One row per meeting, version and guest: whatever asks for it twice, a version goes to a guest once.
-- What is said is made from the meeting when the letter is sent, so no PIN or code lies here.
CREATE TABLE outbox (
    id              INTEGER PRIMARY KEY,
    meeting         TEXT NOT NULL REFERENCES meetings (id) ON DELETE CASCADE,
    sequence        INTEGER NOT NULL,
    recipient       TEXT NOT NULL COLLATE NOCASE,
    method          TEXT NOT NULL CHECK (method IN ('request', 'cancel')),
    -- superseded: a newer version was queued before this one was sent.
    state           TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'superseded')),
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    -- The server's answer to the last attempt that did not succeed.
    last_error      TEXT,
    queued_at       INTEGER NOT NULL,
    settled_at      INTEGER,
    UNIQUE (meeting, sequence, recipient)
) STRICT;
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE state = 'queued';
