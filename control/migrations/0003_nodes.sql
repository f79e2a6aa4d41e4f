-- Media nodes: what the operator says of them. What they are right now is no row; control nodes find it out and tell it in Redis.

CREATE TABLE nodes (
    id                    text PRIMARY KEY CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    -- `host:port` each. NULL in `api`: the addresses come from heartbeats, within NODES_CIDR (nodes of NODES_BOOTSTRAP).
    api                   text,
    http                  text,
    rtmp                  text,
    srt                   text,
    rtc                   text,
    public                text[] NOT NULL DEFAULT '{}',
    weight                smallint NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 100),
    zone                  text CHECK (length(zone) BETWEEN 1 AND 64),
    streams_max           integer CHECK (streams_max > 0),
    clients_max           integer CHECK (clients_max > 0),
    bandwidth_kbps_max    bigint CHECK (bandwidth_kbps_max > 0),
    -- SHA-256, hexadecimal.
    secret_hash           text NOT NULL CHECK (length(secret_hash) = 64),
    secret_previous_hash  text CHECK (length(secret_previous_hash) = 64),
    secret_previous_until timestamptz,
    -- Set: no new streams. With a deadline: what is left then is kicked.
    cordoned_at           timestamptz,
    drain_deadline        timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (api IS NOT NULL OR (http IS NULL AND rtmp IS NULL AND srt IS NULL AND rtc IS NULL)),
    CHECK (drain_deadline IS NULL OR cordoned_at IS NOT NULL),
    CHECK ((secret_previous_hash IS NULL) = (secret_previous_until IS NULL))
);
CREATE INDEX claims_node ON claims (node) WHERE state <> 'free';
