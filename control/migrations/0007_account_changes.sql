-- Accounts that are disabled, and codes by which somebody who forgot the password sets a new one.
-- A process that does not know the column lets disabled accounts sign in until it is replaced.

ALTER TABLE users ADD COLUMN disabled_at timestamptz;

-- One code an account: a new one takes the place of the one before.
CREATE TABLE password_resets (
    user_id    uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    hash       text NOT NULL UNIQUE CHECK (length(hash) = 64),
    expires_at timestamptz NOT NULL
);

ALTER TABLE refresh_families DROP CONSTRAINT refresh_families_revoked_reason_check;
ALTER TABLE refresh_families ADD CONSTRAINT refresh_families_revoked_reason_check
    CHECK (revoked_reason IN ('logout', 'logout_everywhere', 'reuse', 'password', 'disabled'));
