-- ARGV, three of each row: group, name, its version (0: none). The answers are those of put.lua.
local answers = {}
for i = 1, #ARGV, 3 do
  local group, name, version = groups[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]
  local found = read(group, name)
  local answer = 'ok'
  if (found or '0') ~= version then
    answer = found or ''
  elseif found then
    if group.changes then redis.call('ZREM', group.changes, name) end
    redis.call('HDEL', group.rows, name)
  end
  answers[#answers + 1] = answer
end
return answers
