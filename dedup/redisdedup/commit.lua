-- One call of the sink: what is stored is compared with what the caller expects, then the effects are made, and the marks are written last. Redis does not roll back: all that can be seen before the
-- first write is looked at before it.
--
-- KEYS: the note of this attempt, and every key that is used. ARGV: the attempt's token, "read" or "write", and five lists, each with its length before it, and each list of words in them too:
--   expectations: words of a command that reads, or "history", and the answer that is expected, without which it is only asked
--   kinds:        a key, and of which type it is, if it exists
--   checks:       a body in Lua, its keys, its arguments
--   effects:      the same, or "" for a body and, as arguments, the words of a command
--   marks:        words of a command that writes, or "sweep"
-- The answer is one of
--   ok, how many rows a sweep has left, and what the expectations read
--   rows, and what the expectations read: something is not as expected, or was only asked
--   kind, key, found
--   check, number, why
--   compile, name, why
--   failed, number, why: the effect of this number failed, counted from 0, and those before it are made
local at = 1
local function word()
  at = at + 1
  return ARGV[at]
end
local function words()
  local list = {}
  for i = 1, tonumber(word()) do list[i] = word() end
  return list
end
local writes = word() == 'write'

-- It has failed half-way, and its answer was lost.
local note = redis.call('GET', KEYS[1])
if note then
  local number, why = string.match(note, '^(%d+) (.*)$')
  return { 'failed', number, why }
end

local rows, same = {}, writes
for _ = 1, tonumber(word()) do
  local ask, want = words(), words()
  local found
  if ask[1] == 'history' then
    found = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  else
    found = redis.call(unpack(ask))
  end
  if type(found) ~= 'table' then found = { found or false } end
  for i, value in ipairs(found) do
    local text = value and tostring(value) or ''
    rows[#rows + 1] = text
    if #want > 0 and want[i] ~= text then same = false end
  end
end
-- read gives rows behind what is said: they may be more than unpack takes.
local function read(answer)
  for _, text in ipairs(rows) do answer[#answer + 1] = text end
  return answer
end
if not same then return read({ 'rows' }) end

for _ = 1, tonumber(word()) do
  local key, kind = word(), word()
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then return { 'kind', key, found } end
end

-- steps reads a list of bodies, and compiles them.
local broken
local function steps(name)
  local list = {}
  for i = 1, tonumber(word()) do
    local step = { body = word(), keys = words(), args = words() }
    if step.body ~= '' then
      local why
      step.run, why = loadstring('local KEYS, ARGV = ... ' .. step.body, '@' .. name .. ' ' .. i - 1)
      if not step.run and not broken then broken = { 'compile', name .. ' ' .. i - 1, why } end
    end
    list[i] = step
  end
  return list
end
local checks, effects = steps('check'), steps('effect')
if broken then return broken end

-- call runs a body. It gives what it returned, or why it failed.
local function call(step)
  local ok, answer = pcall(step.run, step.keys, step.args)
  if type(answer) == 'table' and answer.err then
    ok, answer = false, answer.err
  end
  if ok then return answer end
  return nil, tostring(answer)
end

for i, check in ipairs(checks) do
  local answer, why = call(check)
  if answer == false then why = 'it is false' end
  if why then return { 'check', i - 1, why } end
end

-- failed notes that this attempt is over: it must not be made again where its answer is lost.
local function failed(number, why)
  redis.pcall('SET', KEYS[1], number .. ' ' .. why, 'PX', 3600000)
  return { 'failed', number, why }
end

for i, effect in ipairs(effects) do
  local why
  if effect.run then
    why = select(2, call(effect))
  else
    local answer = redis.pcall(unpack(effect.args))
    why = type(answer) == 'table' and answer.err
  end
  if why then
    if i == 1 and not effect.run then return { 'failed', 0, why } end -- a command that failed has done nothing
    return failed(i - 1, why)
  end
end

-- sweep drops the marks of keys up to a bound, so many at most, and gives how many may be left.
local function sweep(order, done, bound, most)
  local found = redis.call('ZRANGEBYLEX', order, '-', bound, 'LIMIT', 0, most)
  if #found == 0 then return 0 end
  local lanes = {}
  for i, member in ipairs(found) do lanes[i] = string.sub(member, string.find(member, ' ', 1, true) + 1) end
  redis.call('ZREM', order, unpack(found))
  redis.call('HDEL', done, unpack(lanes))
  return #found == tonumber(most) and 1 or 0
end

local left = 0
for _ = 1, tonumber(word()) do
  local mark = words()
  if mark[1] == 'sweep' then
    left = sweep(mark[2], mark[3], mark[4], mark[5])
  else
    local answer = redis.pcall(unpack(mark))
    if type(answer) == 'table' and answer.err then
      if #effects == 0 then return answer end
      return failed(#effects, answer.err)
    end
  end
end
return read({ 'ok', left })
