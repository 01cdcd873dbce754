-- ARGV, six of each row: group, name, its version (0: none), the next version, "keep" or "stamp", value. The answer has one of each row: "ok", or why
-- it was not written: "" for no row, "!" for one that is corrupt, "index" for a group whose changes are another type, else its version.

-- stamp is the next cursor: the microseconds since 1970, so that cursors also rise where a fail-over took the counter back, but above the last one
-- whatever the clock says.
local stamped
local function stamp()
  if not stamped then
    local time = redis.call('TIME')
    stamped = math.max(last(), time[1] * 1000000 + time[2])
  end
  stamped = stamped + 1
  local cursor = string.format('%016.0f', stamped)
  redis.call('SET', KEYS[1], cursor)
  return cursor
end

local answers = {}
for i = 1, #ARGV, 6 do
  local group = groups[tonumber(ARGV[i])]
  local name, version, next_version, value = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 5]
  local found, cursor = read(group, name)
  local answer = 'ok'
  if (found or '0') ~= version then
    answer = found or ''
  elseif not group.changes then
    answer = 'index'
  else
    if ARGV[i + 4] == 'stamp' or not cursor then cursor = stamp() end
    redis.call('ZADD', group.changes, cursor, name) -- also where the cursor is kept: that mends a set that somebody broke
    redis.call('HSET', group.rows, name, next_version .. ' ' .. cursor .. ' ' .. value)
  end
  answers[#answers + 1] = answer
end
return answers
