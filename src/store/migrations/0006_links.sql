-- Moderator links are not stored: each is signed with the number of its round, and revoking begins the
-- next one.
ALTER TABLE meetings ADD COLUMN links INTEGER NOT NULL DEFAULT 0;
