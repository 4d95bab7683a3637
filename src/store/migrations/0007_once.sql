-- What came of requests that carried an Idempotency-Key, for a day: a retry gets the same answer and does
-- nothing. The outcome is the id of what was made, and a host PIN or token that is told only once.
CREATE TABLE once (
    key_mac        BLOB PRIMARY KEY,
    request_mac    BLOB NOT NULL,
    outcome_sealed BLOB NOT NULL,
    done_at        INTEGER NOT NULL
) STRICT;
CREATE INDEX once_by_age ON once (done_at);
