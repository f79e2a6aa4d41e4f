-- Who publishes each stream now, what was published before, and the connections that SRS still has to be told to drop.

-- One row a stream that was ever published. It is never deleted, so that nothing lowers an epoch.
CREATE TABLE claims (
    stream_id       text PRIMARY KEY REFERENCES streams (id),
    epoch           bigint NOT NULL CHECK (epoch > 0),
    state           text NOT NULL CHECK (state IN ('free', 'reserved', 'live')),
    -- While free: the last publisher, if it may publish again on the same connection; else NULL.
    session_id      uuid,
    node            text,
    service         text,
    client_id       text,
    edge            text,
    protocol        text NOT NULL CHECK (protocol IN ('webrtc', 'rtmp', 'srt', 'hls', 'http_flv')),
    client_ip       inet,
    credential_kind text NOT NULL CHECK (credential_kind IN ('stream_key', 'token', 'open')),
    -- SHA-256 of the key, or the token's id.
    credential      text NOT NULL,
    broadcast_id    uuid,
    reserved_until  timestamptz,
    since           timestamptz NOT NULL DEFAULT now(),
    CHECK (state = 'free' OR (session_id IS NOT NULL AND node IS NOT NULL AND service IS NOT NULL)),
    CHECK ((state = 'reserved') = (reserved_until IS NOT NULL)),
    CHECK (state <> 'live' OR (client_id IS NOT NULL AND broadcast_id IS NOT NULL))
);
CREATE INDEX claims_client ON claims (node, service, client_id) WHERE state = 'live';
CREATE INDEX claims_session ON claims (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX claims_reserved ON claims (reserved_until) WHERE state = 'reserved';

CREATE TABLE broadcasts (
    id           uuid PRIMARY KEY,
    stream_id    text NOT NULL REFERENCES streams (id),
    node         text NOT NULL,
    epoch        bigint NOT NULL,
    protocol     text NOT NULL,
    session_id   uuid NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    reason       text CHECK (reason IN ('client_left', 'kicked', 'taken_over', 'revoked', 'node_lost', 'stream_moved', 'reconciled')),
    peak_viewers bigint NOT NULL DEFAULT 0
);
CREATE INDEX broadcasts_of ON broadcasts (stream_id, started_at DESC, id DESC);
CREATE INDEX broadcasts_session ON broadcasts (session_id);

-- Points of a stream's history; the queue in Redis may hand one in twice.
CREATE TABLE samples (
    stream_id text NOT NULL REFERENCES streams (id),
    at        timestamptz NOT NULL,
    viewers   bigint NOT NULL,
    kbps_in   bigint NOT NULL,
    kbps_out  bigint NOT NULL,
    PRIMARY KEY (stream_id, at)
);
CREATE INDEX samples_at ON samples (at);

-- Written before a refusal is answered; deleted when SRS no longer knows the client, or its run is over.
CREATE TABLE owed_kicks (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node       text NOT NULL,
    service    text NOT NULL,
    client_id  text NOT NULL,
    reason     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    next_at    timestamptz NOT NULL DEFAULT now(),
    tries      integer NOT NULL DEFAULT 0,
    UNIQUE (node, service, client_id)
);
CREATE INDEX owed_kicks_due ON owed_kicks (next_at);
