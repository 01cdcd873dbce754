-- KEYS: the key's claim. ARGV: the token, and for how many milliseconds; 0 gives it back. The answer is "ok" or "claimed".
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 'claimed' end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 'ok'
