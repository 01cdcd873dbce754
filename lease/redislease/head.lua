-- KEYS: the counter of cursors, and then of each group its rows (a hash: name -> entry) and its changes (a sorted set: name by cursor).
-- An entry is "version cursor value". Versions are compared as text: a number of Lua is exact up to 2^53 only.

-- typed gives a key, or nil if it holds another type than it should: it is asked for, because a command on it would end the script.
local function typed(key, kind)
  local found = redis.call('TYPE', key).ok
  if found == kind or found == 'none' then return key end
end

-- groups are the rows and the changes of each group, without those that hold another type.
local groups = {}
for i = 2, #KEYS, 2 do
  groups[#groups + 1] = { rows = typed(KEYS[i], 'hash'), changes = typed(KEYS[i + 1], 'zset') }
end

-- read gives version and cursor of a row: nil where there is none, "!" where the entry is corrupt.
local function read(group, name)
  if not group.rows then return '!' end
  local entry = redis.call('HGET', group.rows, name)
  if not entry then return nil end
  local version, cursor = string.match(entry, '^([1-9]%d*) (' .. string.rep('%d', 16) .. ') ')
  return version or '!', cursor
end

-- last is the last cursor that was stamped.
local function last()
  local stored = typed(KEYS[1], 'string') and tonumber(redis.call('GET', KEYS[1]) or 0) or 0
  if stored >= 0 and stored < 2 ^ 53 then return stored end
  return 0
end
