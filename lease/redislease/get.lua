-- ARGV, two of each row: group, name. The answer has the entry of each: nil where there is none, "" where the group's rows are another type.
local entries = {}
for i = 1, #ARGV, 2 do
  local group = groups[tonumber(ARGV[i])]
  local entry = ''
  if group.rows then entry = redis.call('HGET', group.rows, ARGV[i + 1]) end
  entries[#entries + 1] = entry
end
return entries
