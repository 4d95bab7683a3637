-- Notices by mail, for hosts who want them.
ALTER TABLE hosts ADD COLUMN notice_mail INTEGER NOT NULL DEFAULT 0;

-- A notice and its letter are one row: neither is without the other.
-- The letter's number; null: none is sent.
ALTER TABLE notices ADD COLUMN letter INTEGER;
ALTER TABLE notices ADD COLUMN letter_state TEXT CHECK (letter_state IN ('queued', 'sent', 'failed'));
ALTER TABLE notices ADD COLUMN letter_attempts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN letter_next_at INTEGER;
-- The server's answer to the last attempt that did not succeed.
ALTER TABLE notices ADD COLUMN letter_error TEXT;
CREATE UNIQUE INDEX notices_by_letter ON notices (letter);
CREATE INDEX notices_by_due_letter ON notices (letter_state, letter_next_at);
