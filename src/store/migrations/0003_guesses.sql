-- Wrong entries, so that a restart gives no try back. One row per budget: a code, a host's codes, a
-- host PIN, a host's host PINs, a number, a trunk.
--
-- A number is its MAC, as elsewhere; it is no key to any other table. A row goes when it has no effect
-- any more (void_at), or what it is about is gone.
CREATE TABLE guesses (
    counter    TEXT NOT NULL CHECK (counter IN
                   ('code', 'codes-of-host', 'host-pin', 'host-pins-of-host', 'number', 'trunk')),
    subject    TEXT NOT NULL,
    -- JSON: the times of tries that count; for a trunk, when its bucket will be empty.
    tries      TEXT NOT NULL,
    -- The same for tries that were given back.
    given_back TEXT NOT NULL,
    -- Null: never by itself.
    void_at    INTEGER,
    PRIMARY KEY (counter, subject)
) STRICT;
CREATE INDEX guesses_void ON guesses (void_at) WHERE void_at IS NOT NULL;
