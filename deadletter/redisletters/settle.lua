-- KEYS: the key's claim, its letters, the letter, the keys that have letters, those that are parked, since when they are.
-- ARGV: the key, the token, the letter's ID, and the failure as a line, "" to remove the letter. The answer is "ok", "claim" without the claim, or "letter" without the letter.
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 'claim' end
if not redis.call('ZSCORE', KEYS[2], ARGV[3]) then return 'letter' end
local history = redis.call('HGET', KEYS[3], 'history') or ''
if ARGV[4] ~= '' then
  -- The same failure again is this call repeated, because its answer was lost.
  if string.sub('\n' .. history, -#ARGV[4] - 1) ~= '\n' .. ARGV[4] then redis.call('HSET', KEYS[3], 'history', history .. ARGV[4]) end
  return 'ok'
end
redis.call('ZSCORE', KEYS[4], ARGV[1])
redis.call('ZSCORE', KEYS[5], ARGV[1])
redis.call('HLEN', KEYS[6])
redis.call('ZREM', KEYS[2], ARGV[3])
redis.call('UNLINK', KEYS[3])
if redis.call('ZCARD', KEYS[2]) == 0 then
  redis.call('ZREM', KEYS[4], ARGV[1])
  redis.call('ZREM', KEYS[5], ARGV[1])
  redis.call('HDEL', KEYS[6], ARGV[1])
end
return 'ok'
