//! The statements. Times are Postgres's own, so that control nodes need not agree on the clock.

/// How a statement begins that gives $1 to a publisher: a stream that was deleted, or whose owner is disabled, is none.
macro_rules! wanted {
    () => {
        "
WITH wanted AS (
    SELECT s.id, s.owner_id FROM streams s JOIN users u ON u.id = s.owner_id
    WHERE s.id = $1 AND s.deleted_at IS NULL AND u.disabled_at IS NULL
)"
    };
}

/// $1 stream, $2 session, $3 node, $4 service, $5 client (NULL: reserve), $6 edge, $7 protocol, $8 address, $9 credential kind, $10 credential,
/// $11 broadcast (with $5), $12 seconds reserved, $13 and $14 epoch and state of a holder to put out; $15 to $19 the nodes that make the mean
/// (NULL: no bound), per cent of it, the node's weight, all their weights, streams the node may have.
///
/// `claims_room` is asked with the node of the row just taken, so after the claim's own lock; it fails the whole statement.
pub(super) const TAKE: &str = concat!(
    wanted!(),
    ", before AS (
    SELECT * FROM claims WHERE stream_id = $1
), taken AS (
    INSERT INTO claims AS c (stream_id, epoch, state, session_id, node, service, client_id, edge, protocol, client_ip,
                             credential_kind, credential, broadcast_id, reserved_until, since)
    SELECT id, 1, CASE WHEN $5 IS NULL THEN 'reserved' ELSE 'live' END, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
           CASE WHEN $5 IS NULL THEN now() + make_interval(secs => $12) END, now()
    FROM wanted
    ON CONFLICT (stream_id) DO UPDATE SET
        epoch = CASE WHEN c.state = 'reserved' AND c.session_id = excluded.session_id THEN c.epoch ELSE c.epoch + 1 END,
        state = excluded.state, session_id = excluded.session_id, node = excluded.node, service = excluded.service,
        client_id = excluded.client_id, edge = excluded.edge, protocol = excluded.protocol, client_ip = excluded.client_ip,
        credential_kind = excluded.credential_kind, credential = excluded.credential, broadcast_id = excluded.broadcast_id,
        reserved_until = excluded.reserved_until, since = excluded.since
    WHERE c.state = 'free'
       OR (c.state = 'reserved' AND (c.reserved_until <= now() OR c.session_id = excluded.session_id))
       OR (c.epoch = $13 AND c.state = $14)
    RETURNING *
), put_out AS (
    SELECT b.* FROM before b, taken WHERE b.state = 'live' AND b.epoch = $13
), owed AS (
    INSERT INTO owed_kicks (node, service, client_id, reason)
    SELECT node, service, client_id, 'taken_over' FROM put_out
    ON CONFLICT (node, service, client_id) DO NOTHING
), ended AS (
    UPDATE broadcasts SET ended_at = now(), reason = 'taken_over'
    FROM put_out WHERE broadcasts.id = put_out.broadcast_id AND broadcasts.ended_at IS NULL
), begun AS (
    INSERT INTO broadcasts (id, stream_id, node, epoch, protocol, session_id)
    SELECT broadcast_id, stream_id, node, epoch, protocol, session_id FROM taken WHERE state = 'live'
)
SELECT w.owner_id, t.epoch AS taken_epoch, t.node AS taken_node, t.service AS taken_service,
       CASE WHEN t.node IS NOT NULL AND $15 IS NOT NULL THEN
           claims_room(t.node, CASE WHEN b.state <> 'free' THEN b.node END, $15, $16, $17, $18, $19)
       END AS has_room,
       EXISTS (SELECT 1 FROM put_out) AS put_out, false AS seen, (extract(epoch FROM now()) * 1000)::int8 AS now_ms,
       b.epoch, b.state, b.session_id, b.node, b.service, b.client_id, b.edge, b.protocol, b.client_ip, b.credential_kind,
       b.credential, b.broadcast_id, (extract(epoch FROM b.reserved_until) * 1000)::int8 AS until_ms,
       (extract(epoch FROM b.since) * 1000)::int8 AS since_ms, $1 AS stream_id
FROM (SELECT 1) AS always
LEFT JOIN wanted w ON true LEFT JOIN taken t ON true LEFT JOIN before b ON true"
);

/// $1 stream, $2 session, $3 node, $4 service, $5 client, $6 edge, $7 protocol, $8 address, $9 credential kind, $10 credential, $11 broadcast,
/// $12 least epoch, $13 unix milliseconds of the hook, $14 epoch of a live holder to put out, $15 the ticket's time was over. That broadcast,
/// or one of the same session that ran at the time, says that the hook was written down before.
pub(super) const REPLAY: &str = concat!(
    wanted!(),
    ", before AS (
    SELECT * FROM claims WHERE stream_id = $1
), seen AS (
    SELECT id FROM broadcasts WHERE id = $11 UNION ALL
    SELECT id FROM broadcasts
    WHERE session_id = $2 AND stream_id = $1 AND started_at <= to_timestamp($13 / 1000.0) + interval '5 s'
      AND (ended_at IS NULL OR ended_at > to_timestamp($13 / 1000.0))
), taken AS (
    INSERT INTO claims AS c (stream_id, epoch, state, session_id, node, service, client_id, edge, protocol, client_ip,
                             credential_kind, credential, broadcast_id, since)
    SELECT id, greatest(1, $12), 'live', $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, to_timestamp($13 / 1000.0)
    FROM wanted
    WHERE NOT EXISTS (SELECT 1 FROM seen)
      AND (NOT $15 OR EXISTS (SELECT 1 FROM before WHERE session_id = $2 AND client_id = $5))
    ON CONFLICT (stream_id) DO UPDATE SET
        epoch = greatest(c.epoch + 1, excluded.epoch),
        state = 'live', session_id = excluded.session_id, node = excluded.node, service = excluded.service,
        client_id = excluded.client_id, edge = excluded.edge, protocol = excluded.protocol, client_ip = excluded.client_ip,
        credential_kind = CASE WHEN c.session_id = $2 THEN c.credential_kind ELSE excluded.credential_kind END,
        credential = CASE WHEN c.session_id = $2 THEN c.credential ELSE excluded.credential END,
        broadcast_id = excluded.broadcast_id, reserved_until = NULL, since = excluded.since
    WHERE c.state <> 'live' OR c.epoch = $14
    RETURNING *
), put_out AS (
    SELECT b.* FROM before b, taken WHERE b.state = 'live' AND b.epoch = $14
), owed AS (
    INSERT INTO owed_kicks (node, service, client_id, reason)
    SELECT node, service, client_id, 'taken_over' FROM put_out
    ON CONFLICT (node, service, client_id) DO NOTHING
), ended AS (
    UPDATE broadcasts SET ended_at = now(), reason = 'taken_over'
    FROM put_out WHERE broadcasts.id = put_out.broadcast_id AND broadcasts.ended_at IS NULL
), begun AS (
    INSERT INTO broadcasts (id, stream_id, node, epoch, protocol, session_id, started_at)
    SELECT broadcast_id, stream_id, node, epoch, protocol, session_id, since FROM taken
)
SELECT w.owner_id, t.epoch AS taken_epoch, t.node AS taken_node, t.service AS taken_service,
       EXISTS (SELECT 1 FROM put_out) AS put_out, EXISTS (SELECT 1 FROM seen) AS seen, (extract(epoch FROM now()) * 1000)::int8 AS now_ms,
       b.epoch, b.state, b.session_id, b.node, b.service, b.client_id, b.edge, b.protocol, b.client_ip, b.credential_kind,
       b.credential, b.broadcast_id, (extract(epoch FROM b.reserved_until) * 1000)::int8 AS until_ms,
       (extract(epoch FROM b.since) * 1000)::int8 AS since_ms, $1 AS stream_id
FROM (SELECT 1) AS always
LEFT JOIN wanted w ON true LEFT JOIN taken t ON true LEFT JOIN before b ON true"
);

/// $1 stream or NULL, $2 node, $3 service, $4 client, $5 unix milliseconds of the hook: what was claimed later is not ended by it.
pub(super) const REPLAY_END: &str = "
WITH old AS (
    SELECT * FROM claims
    WHERE state = 'live' AND node = $2 AND service = $3 AND client_id = $4 AND ($1::text IS NULL OR stream_id = $1)
      AND since <= to_timestamp($5 / 1000.0)
    ORDER BY stream_id
    FOR UPDATE
), freed AS (
    UPDATE claims c SET state = 'free', broadcast_id = NULL, since = now(),
        session_id = CASE WHEN $1::text IS NULL THEN NULL ELSE c.session_id END,
        client_id = CASE WHEN $1::text IS NULL THEN NULL ELSE c.client_id END
    FROM old WHERE c.stream_id = old.stream_id
), ended AS (
    UPDATE broadcasts SET ended_at = to_timestamp($5 / 1000.0), reason = 'client_left'
    FROM old WHERE broadcasts.id = old.broadcast_id AND broadcasts.ended_at IS NULL
)
SELECT old.stream_id, old.epoch, old.state, old.session_id, old.node, old.service, old.client_id, old.broadcast_id, s.owner_id
FROM old JOIN streams s ON s.id = old.stream_id";

/// $1 stream, $2 session, $3 node, $4 service, $5 client, $6 epoch of the ticket, $7 broadcast, $8 the ticket's time is over.
pub(super) const CONFIRM: &str = concat!(
    wanted!(),
    ", before AS (
    SELECT * FROM claims WHERE stream_id = $1
), taken AS (
    UPDATE claims c SET
        epoch = CASE WHEN c.state = 'free' THEN c.epoch + 1 ELSE c.epoch END,
        state = 'live', client_id = $5, broadcast_id = $7, reserved_until = NULL, since = now()
    FROM wanted
    WHERE c.stream_id = wanted.id AND c.session_id = $2 AND c.node = $3 AND c.service = $4
      AND ((c.state = 'reserved' AND c.epoch = $6 AND NOT $8) OR (c.state = 'free' AND c.client_id = $5))
    RETURNING c.*
), begun AS (
    INSERT INTO broadcasts (id, stream_id, node, epoch, protocol, session_id)
    SELECT broadcast_id, stream_id, node, epoch, protocol, session_id FROM taken
)
SELECT w.owner_id, t.epoch AS taken_epoch, t.client_ip AS taken_ip, t.edge AS taken_edge, t.protocol AS taken_protocol,
       (extract(epoch FROM now()) * 1000)::int8 AS now_ms,
       b.epoch, b.state, b.session_id, b.node, b.service, b.client_id, b.edge, b.protocol, b.client_ip, b.credential_kind,
       b.credential, b.broadcast_id, (extract(epoch FROM b.reserved_until) * 1000)::int8 AS until_ms,
       (extract(epoch FROM b.since) * 1000)::int8 AS since_ms, $1 AS stream_id
FROM (SELECT 1) AS always
LEFT JOIN wanted w ON true LEFT JOIN taken t ON true LEFT JOIN before b ON true"
);

/// $1 reason, $2 forget who it was, $3 stream, $4 session, $5 node, $6 service, $7 client, $8 credential kind, $9 credential, $10 the run to spare,
/// $11 owe their kicks. A NULL is no condition; with a client only live claims end. The callers give at least one condition.
pub(super) const END: &str = "
WITH old AS (
    SELECT * FROM claims
    WHERE state <> 'free' AND ($7::text IS NULL OR state = 'live')
      AND ($3::text IS NULL OR stream_id = $3) AND ($4::uuid IS NULL OR session_id = $4)
      AND ($5::text IS NULL OR node = $5) AND ($6::text IS NULL OR service = $6) AND ($7::text IS NULL OR client_id = $7)
      AND ($8::text IS NULL OR credential_kind = $8) AND ($9::text IS NULL OR credential = $9)
      AND ($10::text IS NULL OR service <> $10)
      AND coalesce($3, $4::text, $5, $9) IS NOT NULL
    ORDER BY stream_id
    FOR UPDATE
), freed AS (
    UPDATE claims c SET state = 'free', broadcast_id = NULL, reserved_until = NULL, since = now(),
        session_id = CASE WHEN $2 THEN NULL ELSE c.session_id END,
        client_id = CASE WHEN $2 THEN NULL ELSE c.client_id END
    FROM old WHERE c.stream_id = old.stream_id
), owed AS (
    INSERT INTO owed_kicks (node, service, client_id, reason)
    SELECT node, service, client_id, $1 FROM old WHERE $11 AND state = 'live'
    ON CONFLICT (node, service, client_id) DO NOTHING
), ended AS (
    UPDATE broadcasts SET ended_at = now(), reason = $1
    FROM old WHERE broadcasts.id = old.broadcast_id AND broadcasts.ended_at IS NULL
)
SELECT old.stream_id, old.epoch, old.state, old.session_id, old.node, old.service, old.client_id, old.broadcast_id, s.owner_id
FROM old JOIN streams s ON s.id = old.stream_id";

/// $1 stream, $2 session, $3 epoch.
pub(super) const GIVE_UP: &str = "
UPDATE claims SET state = 'free', session_id = NULL, client_id = NULL, reserved_until = NULL, since = now()
WHERE stream_id = $1 AND state = 'reserved' AND session_id = $2 AND epoch = $3 RETURNING stream_id";

/// Without parameters. What another control node frees right now is left to it.
pub(super) const EXPIRE: &str = "
WITH old AS (
    SELECT stream_id FROM claims WHERE state = 'reserved' AND reserved_until <= now() FOR UPDATE SKIP LOCKED
)
UPDATE claims SET state = 'free', session_id = NULL, client_id = NULL, reserved_until = NULL, since = now()
FROM old WHERE claims.stream_id = old.stream_id RETURNING claims.stream_id";

/// $1 stream.
pub(super) const OF_STREAM: &str = "
SELECT s.owner_id, s.visibility, c.epoch, c.state, c.session_id, c.node, c.service, c.client_id, c.edge, c.protocol, c.client_ip,
       c.credential_kind, c.credential, c.broadcast_id, (extract(epoch FROM c.reserved_until) * 1000)::int8 AS until_ms,
       (extract(epoch FROM c.since) * 1000)::int8 AS since_ms, s.id AS stream_id
FROM streams s LEFT JOIN claims c ON c.stream_id = s.id
WHERE s.id = $1 AND s.deleted_at IS NULL";

/// $1 node or NULL.
pub(super) const LIVE: &str = "
SELECT s.owner_id, c.epoch, c.state, c.session_id, c.node, c.service, c.client_id, c.edge, c.protocol, c.client_ip,
       c.credential_kind, c.credential, c.broadcast_id, NULL::int8 AS until_ms,
       (extract(epoch FROM c.since) * 1000)::int8 AS since_ms, c.stream_id
FROM claims c JOIN streams s ON s.id = c.stream_id
WHERE c.state = 'live' AND ($1::text IS NULL OR c.node = $1)";

/// $1 owner.
pub(super) const HELD_BY: &str = "
SELECT c.stream_id FROM claims c JOIN streams s ON s.id = c.stream_id WHERE s.owner_id = $1 AND c.state <> 'free'";

/// Without parameters.
pub(super) const STREAMS_BY_NODE: &str = "SELECT node, streams::int8 AS streams FROM node_loads WHERE streams > 0";
