//! What Redis runs in one piece.

use kit::kv::Cmd;
use proto::{SessionId, TokenId, keys};

/// Takes a single-use token: 1 taken by this session (also when it was before), 0 by another, -1 unknown.
const TAKE: &str = "local v = redis.call('GET', KEYS[1])
if not v then return -1 end
if v == ARGV[1] then return 1 end
if v ~= '1' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
return 1";

/// Gives it back, if this session holds it.
const GIVE_BACK: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], '1', 'KEEPTTL')
return 1";

/// Generic cell rate algorithm. Times are microseconds of Redis's own clock, which all edges share.
/// ARGV: time a request costs, time that may be owed. Returns how long to wait, 0 when the request may pass.
const LIMIT: &str = "local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost, owed = tonumber(ARGV[1]), tonumber(ARGV[2])
local free = tonumber(redis.call('GET', KEYS[1])) or now
if free < now then free = now end
local wait = free + cost - owed - now
if wait > 0 then return wait end
local ms = math.ceil((free + cost - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', free + cost), 'PX', string.format('%.0f', ms))
return 0";

pub(super) fn take(jti: &TokenId, session: &SessionId) -> Cmd {
    Cmd::eval(TAKE, &keys::token(jti)).arg(session.to_string())
}

pub(super) fn give_back(jti: &TokenId, session: &SessionId) -> Cmd {
    Cmd::eval(GIVE_BACK, &keys::token(jti)).arg(session.to_string())
}

pub(super) fn limit(key: &str, cost_us: u64, owed_us: u64) -> Cmd {
    Cmd::eval(LIMIT, key).num(cost_us).num(owed_us)
}
