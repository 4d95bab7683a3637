-- What hosts are told about phones that go straight in.

-- Whether anything is noted for this host.
ALTER TABLE hosts ADD COLUMN notices TEXT NOT NULL DEFAULT 'list' CHECK (notices IN ('off', 'list'));

-- One row per phone, meeting and kind, however often it happens. Forgetting a phone takes its rows too.
CREATE TABLE notices (
    id            TEXT PRIMARY KEY,
    host          TEXT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    -- remembered: a new phone proved PIN and code. came-without-code: a remembered phone came into this
    -- meeting without its code.
    kind          TEXT NOT NULL CHECK (kind IN ('remembered', 'came-without-code')),
    number_mac    BLOB NOT NULL,
    number_sealed BLOB NOT NULL,
    meeting       TEXT NOT NULL REFERENCES meetings (id) ON DELETE CASCADE,
    noticed_at    INTEGER NOT NULL,
    UNIQUE (host, kind, number_mac, meeting)
) STRICT;
CREATE INDEX notices_by_host ON notices (host, id);
