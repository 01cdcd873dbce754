-- ARGV: the cursor after which to list, how many rows to look at, and after how many bytes to stop. The answer is the last cursor that was stamped; the
-- cursor from which to go on, "" at the end; how many rows the changes were found to lack, -1 where they are another type; and then name and entry of each row.
local group = groups[1]
if not group.changes then return { last(), '', -1 } end
local found = redis.call('ZRANGEBYSCORE', group.changes, '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local more, lacking = #found == 2 * ARGV[2], 0
local answer, room = { last(), '', 0 }, tonumber(ARGV[3])
for i = 1, #found, 2 do
  local entry = ''
  if group.rows then entry = redis.call('HGET', group.rows, found[i]) end
  if entry then
    answer[#answer + 1] = found[i]
    answer[#answer + 1] = entry
    room = room - #entry
  else
    lacking = lacking + 1 -- the changes have one that is no row
  end
  answer[2] = found[i + 1]
  if room <= 0 then
    more = true
    break
  end
end
if not more then
  answer[2] = ''
  if group.rows then lacking = lacking + redis.call('HLEN', group.rows) - redis.call('ZCARD', group.changes) end
end
answer[3] = lacking
return answer
