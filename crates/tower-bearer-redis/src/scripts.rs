//! What Redis does in one piece.
//!
//! Keys begin with `{tower-bearer}:` or another prefix. A session is a text, the bytes of its record. Its id, in hexadecimal
//! digits, stands in three sorted sets: those of its user and its client, by the letters, and `ends`, by its end. No key
//! has a time to live: what Redis takes for the time, or drops when its memory is full, is not to end a session.

use std::sync::LazyLock;

use redis::Script;

/// `forget(prefix, id)` removes a session and returns whether it was there; `forget_ended(prefix, ends, now)` removes some of
/// those that have ended, both by the time of the caller and by that of Redis: a clock that is ahead takes nothing
/// away.
macro_rules! forget {
    () => {
        r"
local function forget(prefix, id)
  local key = prefix .. 'session:' .. id
  local record = redis.call('GET', key)
  redis.call('ZREM', prefix .. 'ends', id)
  if not record then return 0 end
  redis.call('DEL', key)
  local is_read, issuer, subject, client = pcall(struct.unpack, '>I4c0I4c0I4c0', record, 17)
  if is_read then
    local of = #issuer .. ':' .. issuer
    redis.call('ZREM', prefix .. 'subject:' .. of .. subject, id)
    redis.call('ZREM', prefix .. 'client:' .. of .. client, id)
  end
  return 1
end
local function now(given)
  return math.min(tonumber(given), tonumber(redis.call('TIME')[1]))
end
"
    };
}

/// KEYS: session, those of the subject, those of the client, ends. ARGV: prefix, id, record, end, now.
pub(crate) static INSERT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        forget!(),
        r"
local ended = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now(ARGV[5]), 'LIMIT', 0, 64)
for _, id in ipairs(ended) do forget(ARGV[1], id) end
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[2])
redis.call('ZADD', KEYS[3], 0, ARGV[2])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[2])
return 1
"
    ))
});

/// KEYS: session, ends. ARGV: id, the version before in 8 bytes, record, end.
pub(crate) static REPLACE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
return 1
",
    )
});

/// KEYS: session, ends. ARGV: prefix, id.
pub(crate) static REMOVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(forget!(), "return forget(ARGV[1], ARGV[2])")));

/// Ids and records in turn. Should somebody have deleted a session by hand, its id goes.
///
/// KEYS: those of the subject or client. ARGV: prefix, where to begin, how many.
pub(crate) static LIST: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local found, first, wanted = {}, ARGV[2], tonumber(ARGV[3])
while wanted > 0 do
  local ids = redis.call('ZRANGEBYLEX', KEYS[1], first, '+', 'LIMIT', 0, math.min(wanted, 1000))
  for _, id in ipairs(ids) do
    first = '(' .. id
    local record = redis.call('GET', ARGV[1] .. 'session:' .. id)
    if record then
      found[#found + 1] = id
      found[#found + 1] = record
      wanted = wanted - 1
    else
      redis.call('ZREM', KEYS[1], id)
    end
  end
  if #ids == 0 then break end
end
return found
",
    )
});

/// Adds a revocation. An entry is removed once it has expired, and five minutes after the next entry was
/// added. Otherwise a client could revoke tokens that expire soon, each of which removes the entry behind
/// which readers continue, and they would read the whole stream again (M05: resuming readers).
///
/// KEYS: stream, ends, texts. ARGV: text, end, now, a random token that makes each entry unique.
pub(crate) static REVOKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        forget!(),
        r"
-- The same twice takes one place, or a client with one token could fill all of it.
local known = redis.call('HGET', KEYS[3], ARGV[1])
local entry = known and redis.call('XRANGE', KEYS[1], known, known)[1]
-- If the stream alone was lost, another entry may have this id.
if entry and entry[2][2] == ARGV[1] then return 1 end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local id = redis.call('XADD', KEYS[1], '*', 'r', ARGV[1], 't', ARGV[4])
redis.call('HSET', KEYS[3], ARGV[1], id)
redis.call('ZADD', KEYS[2], ARGV[2], id)
if newest then
  local stays = tonumber(redis.call('TIME')[1]) + 300
  local ends = redis.call('ZSCORE', KEYS[2], newest[1])
  if ends and tonumber(ends) < stays then redis.call('ZADD', KEYS[2], stays, newest[1]) end
end
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now(ARGV[3]), 'LIMIT', 0, 64)) do
  -- The newest stays until there is a newer one: behind it, readers continue.
  if ended ~= id then
    entry = redis.call('XRANGE', KEYS[1], ended, ended)[1]
    if entry then redis.call('HDEL', KEYS[3], entry[2][2]) end
    redis.call('XDEL', KEYS[1], ended)
    redis.call('ZREM', KEYS[2], ended)
  end
end
return 1
"
    ))
});

/// Writes and removes a key. KEYS: a key that does not exist. Fails if Redis accepts no writes.
pub(crate) static WRITE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
redis.call('SET', KEYS[1], '')
return redis.call('DEL', KEYS[1])
",
    )
});
