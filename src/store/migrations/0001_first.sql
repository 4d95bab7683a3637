-- The first schema. Times are whole milliseconds since 1970 in UTC; ids are UUIDs (version 7) as text.
--
-- Nothing here can be read without the key file: what is matched is an HMAC-SHA-256 (…_mac), what its
-- owner must see again is sealed by XChaCha20-Poly1305 (…_sealed). A PIN has 30 bits and a code 13, so
-- a plain hash would be no protection against whoever steals this file.

-- Facts about the database itself. key_check: proves that the key file is the one this file was
-- written with, so that a wrong key is refused at start and not found out caller by caller.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE hosts (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL,
    email         TEXT NOT NULL,
    language      TEXT,
    known_callers TEXT NOT NULL CHECK (known_callers IN ('straight-through', 'code-once', 'always-code')),
    -- Callers give the PIN alone, so it names one host in the whole deployment.
    pin_mac       BLOB NOT NULL UNIQUE,
    pin_sealed    BLOB NOT NULL,
    -- The length is fixed per deployment but may be changed: no PIN may begin with a shorter one.
    pin_length    INTEGER NOT NULL,
    pin_at        INTEGER NOT NULL,
    -- Private to the host and never shown again: there is no sealed copy.
    host_pin_mac  BLOB NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX hosts_by_pin_length ON hosts (pin_length);

-- PINs that hosts had before. They stand in old invitations, so they never name anybody else.
CREATE TABLE retired_pins (
    pin_mac    BLOB PRIMARY KEY,
    retired_at INTEGER NOT NULL
) STRICT;

-- The host's own phones. Two hosts may share one (an office line).
CREATE TABLE host_numbers (
    host          TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    number_mac    BLOB NOT NULL,
    number_sealed BLOB NOT NULL,
    position      INTEGER NOT NULL,
    PRIMARY KEY (host, number_mac)
) STRICT;

-- 256 random bits need no slow hash: SHA-256 is enough, and is looked up by index.
CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    host       TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tokens_by_host ON tokens (host);

CREATE TABLE meetings (
    id                 TEXT PRIMARY KEY,
    host               TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    kind               TEXT NOT NULL CHECK (kind IN ('one-time', 'standard')),
    -- 1: the host's meeting without times, made with the host, opened when nothing is scheduled.
    standing           INTEGER NOT NULL CHECK (standing IN (0, 1)),
    state              TEXT NOT NULL CHECK (state IN ('scheduled', 'open', 'closed', 'cancelled')),
    title              TEXT NOT NULL,
    starts_at          INTEGER,
    ends_at            INTEGER,
    time_zone          TEXT,
    -- The code is bound to its meeting: the same four digits have another MAC elsewhere.
    code_mac           BLOB,
    code_sealed        BLOB,
    invitees           TEXT NOT NULL,
    known_callers      TEXT CHECK (known_callers IN ('straight-through', 'code-once', 'always-code')),
    wait_for_moderator INTEGER NOT NULL CHECK (wait_for_moderator IN (0, 1)),
    -- Of the invitation (RFC 5545 §3.8.7.4): grows with every change that guests must learn of.
    sequence           INTEGER NOT NULL,
    opened_by          TEXT CHECK (opened_by IN ('moderator', 'caller')),
    opened_at          INTEGER,
    closed_at          INTEGER,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    CHECK ((kind = 'one-time') = (code_mac IS NOT NULL)),
    CHECK ((code_mac IS NULL) = (code_sealed IS NULL)),
    CHECK ((standing = 1) = (starts_at IS NULL)),
    CHECK ((starts_at IS NULL) = (ends_at IS NULL)),
    CHECK (starts_at IS NULL OR starts_at < ends_at),
    CHECK (standing = 0 OR (kind = 'standard' AND state IN ('scheduled', 'open')))
) STRICT;

-- One live meeting per host: whatever goes wrong above, a second one cannot be written.
CREATE UNIQUE INDEX one_live_meeting_per_host ON meetings (host) WHERE state = 'open';
CREATE UNIQUE INDEX one_standing_meeting_per_host ON meetings (host) WHERE standing = 1;
CREATE INDEX meetings_by_host ON meetings (host, id);
CREATE INDEX meetings_by_end ON meetings (host, ends_at);
CREATE INDEX open_meetings ON meetings (id) WHERE state = 'open';

-- A host's latest codes, so that a new one is none of them: guests keep old invitations.
CREATE TABLE drawn_codes (
    host     TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    code_mac BLOB NOT NULL,
    drawn_at INTEGER NOT NULL,
    -- Order of drawing; several codes may be drawn within one millisecond.
    number   INTEGER NOT NULL,
    PRIMARY KEY (host, number)
) STRICT;

-- Phones that proved PIN and one-time code. Revoking deletes the row: a forgotten phone leaves nothing.
CREATE TABLE verified_numbers (
    id            TEXT PRIMARY KEY,
    host          TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    number_mac    BLOB NOT NULL,
    number_sealed BLOB NOT NULL,
    -- The meeting whose code was proved.
    meeting       TEXT NOT NULL REFERENCES meetings (id) ON DELETE CASCADE,
    -- Good only at this trust or better, and from this trunk.
    trust         TEXT NOT NULL CHECK (trust IN ('none', 'claimed', 'network', 'signed')),
    trunk         TEXT NOT NULL,
    verified_at   INTEGER NOT NULL,
    last_used_at  INTEGER NOT NULL,
    UNIQUE (host, number_mac)
) STRICT;
CREATE INDEX verified_numbers_by_number ON verified_numbers (number_mac);
CREATE INDEX verified_numbers_by_host ON verified_numbers (host, id);
CREATE INDEX verified_numbers_by_meeting ON verified_numbers (meeting);

-- Finished calls. They outlive hosts and meetings, so these are no foreign keys. What is only shown
-- and never searched for is JSON in detail.
CREATE TABLE call_records (
    id            TEXT PRIMARY KEY,
    started_at    INTEGER NOT NULL,
    ended_at      INTEGER NOT NULL,
    host          TEXT,
    meeting       TEXT,
    trunk         TEXT NOT NULL,
    trust         TEXT NOT NULL,
    ending        TEXT NOT NULL,
    number_mac    BLOB,
    number_sealed BLOB,
    detail        TEXT NOT NULL
) STRICT;
CREATE INDEX call_records_by_start ON call_records (started_at, id);
CREATE INDEX call_records_by_host ON call_records (host, started_at, id);
CREATE INDEX call_records_by_meeting ON call_records (meeting, started_at, id);
CREATE INDEX call_records_by_number ON call_records (number_mac, started_at, id) WHERE number_mac IS NOT NULL;
