-- Events on their way to programs that asked to be told, by webhook.

-- One row per event and hook. No number stands in a body but masked; its MAC is here so that erasing a
-- person finds the row.
CREATE TABLE webhook_outbox (
    id              INTEGER PRIMARY KEY,
    -- The same for all hooks that are told of one event, and whenever it is told again.
    event           TEXT NOT NULL,
    -- The name that the configuration gives the hook.
    hook            TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN
                        ('call-ended', 'meeting-opened', 'meeting-closed', 'number-remembered')),
    -- The call or meeting.
    about           TEXT NOT NULL,
    number_mac      BLOB,
    -- JSON, as it is sent.
    body            TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    -- Why the last attempt did not succeed.
    last_error      TEXT,
    queued_at       INTEGER NOT NULL,
    settled_at      INTEGER,
    UNIQUE (event, hook)
) STRICT;
CREATE INDEX webhook_outbox_due ON webhook_outbox (hook, next_attempt_at) WHERE state = 'queued';
CREATE INDEX webhook_outbox_settled ON webhook_outbox (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX webhook_outbox_about ON webhook_outbox (about);
CREATE INDEX webhook_outbox_number ON webhook_outbox (number_mac) WHERE number_mac IS NOT NULL;
