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

#[cfg(test)]
mod tests {
    use super::*;
    use kit::{
        env::Env,
        kv::{Kv, Redis, RedisConfig},
        testing::TestRedis,
    };
    use std::time::Duration;

    async fn redis() -> (TestRedis, Kv) {
        let server = TestRedis::start();
        let mut env = Env::new([("REDIS_ADDR".to_owned(), server.addr())]);
        let kv = Redis::connect(&RedisConfig::read(&mut env)).await.unwrap();
        (server, kv)
    }

    fn session(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    #[tokio::test]
    async fn a_single_use_token_is_taken_once_and_given_back_by_its_holder_only() {
        let (_server, kv) = redis().await;
        let jti = TokenId::from_bytes([7; 16]);
        let int = async |cmd: Cmd| kv.one(cmd).await.unwrap().int().unwrap();
        assert_eq!(int(take(&jti, &session(1))).await, -1, "unknown or revoked");
        kv.one(Cmd::set(&keys::token(&jti), "1", Some(Duration::from_secs(60)))).await.unwrap();
        assert_eq!(int(take(&jti, &session(1))).await, 1);
        assert_eq!(int(take(&jti, &session(1))).await, 1, "asked again by its holder");
        assert_eq!(int(take(&jti, &session(2))).await, 0);
        assert_eq!(int(give_back(&jti, &session(2))).await, 0);
        assert_eq!(int(give_back(&jti, &session(1))).await, 1);
        assert_eq!(int(take(&jti, &session(2))).await, 1);
        let ttl = int(Cmd::on("PTTL", &keys::token(&jti))).await;
        assert!((1..=60_000).contains(&ttl), "the token's own expiry stays: {ttl}");
    }

    #[tokio::test]
    async fn a_limit_lets_a_burst_pass_says_how_long_to_wait_and_forgets() {
        let (_server, kv) = redis().await;
        let ask = async || kv.one(limit("ks:limit:x", 100_000, 300_000)).await.unwrap().int().unwrap();
        let mut passed = 0;
        let wait = loop {
            match ask().await {
                0 => passed += 1,
                wait => break wait,
            }
        };
        assert!((3..10).contains(&passed), "{passed} passed");
        assert!((1..=100_000).contains(&wait), "{wait} µs");
        let ttl = kv.one(Cmd::on("PTTL", "ks:limit:x")).await.unwrap().int().unwrap();
        assert!((1..=300).contains(&ttl), "{ttl} ms");
    }
}
