-- KEYS: the counter, the keys that have letters, those that are parked, since when they are; then of each key of records its letters; then each letter.
-- ARGV: "put", "open" or "follow"; how many keys of records; each of them; then of each letter which of these keys it has, its ID, head, payload and history.
-- The answer is "ok", or "free": what is to follow is not parked, and nothing was stored.

-- Redis does not roll back: all that is written below is read first by a command of its type, so that a key of another type ends the script here.
local mode, count = ARGV[1], tonumber(ARGV[2])
local counter = tonumber(redis.call('GET', KEYS[1]) or 0)
if not counter or counter < 0 or counter >= 2 ^ 53 then return redis.error_reply('ERR the counter of letters is broken') end
redis.call('HLEN', KEYS[4])
local has, parked = {}, {}
for i = 1, count do
  local name = ARGV[2 + i]
  redis.call('ZSCORE', KEYS[2], name)
  parked[i] = redis.call('ZSCORE', KEYS[3], name)
  has[i] = redis.call('ZCARD', KEYS[4 + i]) > 0
end
if mode == 'follow' and not parked[1] then return 'free' end
local fresh, seen, letter = {}, {}, 4 + count
for i = 3 + count, #ARGV, 5 do
  letter = letter + 1
  if redis.call('HLEN', KEYS[letter]) == 0 and not seen[KEYS[letter]] then
    seen[KEYS[letter]] = true
    fresh[#fresh + 1] = { key = KEYS[letter], of = tonumber(ARGV[i]), id = ARGV[i + 1], head = ARGV[i + 2], payload = ARGV[i + 3], history = ARGV[i + 4] }
  end
end

-- The counter is written also where all letters are there: what WAIT promises is about writes of its own connection, and a call may be repeated on another.
local seq = redis.call('INCRBY', KEYS[1], #fresh) - #fresh
for _, l in ipairs(fresh) do
  seq = seq + 1
  redis.call('HSET', l.key, 'seq', string.format('%.0f', seq), 'head', l.head, 'payload', l.payload, 'history', l.history)
  redis.call('ZADD', KEYS[4 + l.of], string.format('%.0f', seq), l.id)
  redis.call('ZADD', KEYS[2], 0, ARGV[2 + l.of])
  has[l.of] = true
end
-- A letter that is there under another key parks nothing: nothing would end it.
if mode == 'open' and has[1] and not parked[1] then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[3], 0, ARGV[3])
  redis.call('HSET', KEYS[4], ARGV[3], string.format('%.0f', time[1] * 1000000 + time[2]))
end
return 'ok'
