//! Placements in Redis: one of an older epoch never replaces or removes a newer one.

use super::Cmd;
use proto::{StreamId, fleet::Placement, keys};
use std::time::Duration;

/// Writes a placement unless a newer one is there.
const PLACE: &str = "
local was = redis.call('GET', KEYS[1])
if was then
  local ok, it = pcall(cjson.decode, was)
  if ok and tonumber(it.epoch) > tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1";

/// Removes a placement unless a newer one is there.
const UNPLACE: &str = "
local was = redis.call('GET', KEYS[1])
if was then
  local ok, it = pcall(cjson.decode, was)
  if ok and tonumber(it.epoch) > tonumber(ARGV[1]) then return 0 end
end
return redis.call('DEL', KEYS[1])";

/// The command that makes a placement known for `ttl`.
#[must_use]
pub fn place(placement: &Placement, ttl: Duration) -> Cmd {
    Cmd::eval(PLACE, &keys::placement(&placement.stream))
        .arg(serde_json::to_vec(placement).unwrap_or_default())
        .num(placement.epoch)
        .num(ttl.as_millis())
}

/// The command that removes a placement of this epoch or an older one.
#[must_use]
pub fn unplace(stream: &StreamId, epoch: u64) -> Cmd {
    Cmd::eval(UNPLACE, &keys::placement(stream)).num(epoch)
}
