-- Accounts, streams, rights to publish and play, sealed secrets, audit log.
-- Words are text with a CHECK, never enum types: those make the driver ask the catalogue, which poolers in transaction mode break.

CREATE TABLE users (
    id            uuid PRIMARY KEY,
    email         text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    password_hash text NOT NULL,
    display_name  text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 80),
    role          text NOT NULL CHECK (role IN ('user', 'admin')),
    created_at    timestamptz NOT NULL DEFAULT now()
);
-- Stored as typed, unique without regard to case.
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_newest ON users (created_at DESC, id DESC);

-- One sign-in and everything refreshed from it.
CREATE TABLE refresh_families (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at     timestamptz NOT NULL DEFAULT now(),
    revoked_at     timestamptz,
    revoked_reason text CHECK (revoked_reason IN ('logout', 'logout_everywhere', 'reuse'))
);
CREATE INDEX refresh_families_of ON refresh_families (user_id) WHERE revoked_at IS NULL;

CREATE TABLE refresh_tokens (
    hash           text PRIMARY KEY CHECK (length(hash) = 64),
    family_id      uuid NOT NULL REFERENCES refresh_families (id) ON DELETE CASCADE,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    -- Set when it was exchanged. The successor is made from the token itself and this salt, so that it need not be stored.
    used_at        timestamptz,
    used_client    text,
    successor_salt bytea,
    CHECK ((used_at IS NULL) = (successor_salt IS NULL))
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- Streams are never removed for good: broadcasts, tokens and the audit log go on naming them.
CREATE TABLE streams (
    id         text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    owner_id   uuid NOT NULL REFERENCES users (id),
    title      text NOT NULL CHECK (length(title) BETWEEN 1 AND 120),
    visibility text NOT NULL CHECK (visibility IN ('public', 'unlisted', 'private')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);
CREATE INDEX streams_of ON streams (owner_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX streams_newest ON streams (created_at DESC, id DESC) WHERE deleted_at IS NULL;

CREATE TABLE stream_keys (
    hash       text PRIMARY KEY CHECK (length(hash) = 64),
    stream_id  text NOT NULL REFERENCES streams (id),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- NULL: the current key. Else the end of its overlap.
    expires_at timestamptz
);
CREATE UNIQUE INDEX stream_keys_current ON stream_keys (stream_id) WHERE expires_at IS NULL;
CREATE INDEX stream_keys_of ON stream_keys (stream_id);

CREATE TABLE tokens (
    id         uuid PRIMARY KEY,
    stream_id  text NOT NULL REFERENCES streams (id),
    made_by    uuid NOT NULL REFERENCES users (id),
    action     text NOT NULL CHECK (action IN ('publish', 'play')),
    single_use boolean NOT NULL,
    ip         inet,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX tokens_of ON tokens (stream_id, created_at DESC, id DESC);
CREATE INDEX tokens_expiry ON tokens (expires_at);

-- Sealed under JWT_SECRET. Rotation adds a row that opens at once and makes only from active_from on, so that every process knows it by then.
CREATE TABLE secrets (
    id             uuid PRIMARY KEY,
    kind           text NOT NULL CHECK (kind IN ('cluster', 'stream_key', 'token_key')),
    -- Token keys only: the public half, 32 bytes.
    public_key     bytea,
    sealed         bytea NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    active_from    timestamptz NOT NULL,
    -- NULL: not rotated away.
    honoured_until timestamptz,
    CHECK ((kind = 'token_key') = (public_key IS NOT NULL))
);
CREATE UNIQUE INDEX secrets_current ON secrets (kind) WHERE honoured_until IS NULL;

CREATE TABLE audit_log (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    actor  uuid,
    action text NOT NULL,
    target text NOT NULL,
    ip     inet,
    detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_log_actor ON audit_log (actor, id DESC);
