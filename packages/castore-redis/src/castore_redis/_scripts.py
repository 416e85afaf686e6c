"""Lua scripts: each one runs as one step of the server, on keys of one slot.

Scripts that a worker needs to get on may run when ``maxmemory`` is reached (``allow-oom``):
otherwise nothing would ever be freed. Those that change a pending entry look first whether it is
still pending with this consumer: another one may have claimed it.
"""

from typing import Final

from castore_redis._client import Script

_FIND_GROUP: Final = """
local function find_group(stream, name)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  for _, flat in ipairs(groups.err and {} or groups) do
    local info = {}
    for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
    if info['name'] == name then return info end
  end
end
local NOGROUP = redis.error_reply("NOGROUP no such key or consumer group")
"""

_IS_OWN: Final = """
local function is_own(stream, group, consumer, id)
  return redis.call('XPENDING', stream, group, id, id, 1, consumer)[1] ~= nil
end
"""

ADD: Final = Script("""
local i = 1
while i <= #ARGV do
  local count = tonumber(ARGV[i])
  redis.call('XADD', KEYS[1], '*', unpack(ARGV, i + 1, i + count))
  i = i + count + 1
end
""")
"""Adds entries: all or none. Each is the count of its fields and values, and these."""

READ: Final = Script(f"""
{_FIND_GROUP}
local stream, lease = KEYS[1], KEYS[2]
local group, consumer, count, token, expected = unpack(ARGV)
if token ~= '' and redis.call('GET', lease) ~= token then return {{'lost'}} end
local info = find_group(stream, group)
if not info then return NOGROUP end
local last = info['last-delivered-id']
if expected ~= '' and expected ~= last then return {{'behind'}} end
local answer = redis.call(
  'XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
local entries = answer and answer[1][2] or {{}}
return {{'ok', #entries > 0 and entries[#entries][1] or last, entries}}
""")
"""Takes new entries, unless the lease is lost, or an answer with entries was."""

CLAIM: Final = Script(f"""
{_FIND_GROUP}
local stream, lease = KEYS[1], KEYS[2]
local group, consumer, count, token, cursor, idle, since = unpack(ARGV, 1, 7)
if token ~= '' and redis.call('GET', lease) ~= token then return {{'lost'}} end
local info = find_group(stream, group)
if not info then return NOGROUP end
local is_known = {{}}
for i = 8, #ARGV do is_known[ARGV[i]] = true end
local time = redis.call('TIME')
local age = since ~= '' and time[1] * 1000 + time[2] / 1000 - since or 0
local page = redis.call('XPENDING', stream, group, 'IDLE', idle, cursor, '+', 100)
local entries, following = {{}}, #page == 100 and '(' .. page[100][1] or ''
for i, each in ipairs(page) do
  local is_unheard = each[2] == consumer and each[3] < age
  local id, attempt = each[1], is_unheard and math.max(each[4], 1) or each[4] + 1
  if #entries == tonumber(count) then
    following = '(' .. page[i - 1][1]
    break
  end
  local claimed = not is_known[id] and
    redis.call('XCLAIM', stream, group, consumer, 0, id, 'RETRYCOUNT', attempt)
  if claimed and claimed[1] then
    entries[#entries + 1] = {{id, claimed[1][2], attempt}}
  end
end
return {{'ok', info['last-delivered-id'], entries, following}}
""")
"""Claims pending entries that are idle for long enough, page by page, in their order.

That is another attempt to handle each, unless the answer got lost in which this consumer was given
the entry, ``since`` it has the lease (a moment in ms by the clock of the server).

XAUTOCLAIM would not tell the delivery counts.
"""

ACQUIRE: Final = Script("""
#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local time = redis.call('TIME')
return time[1] * 1000 + math.floor(time[2] / 1000)
""")
"""Takes a lease that nobody has, and returns the moment in ms, or 0."""

RELEASE: Final = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
""")
"""Gives a lease up."""

EXTEND: Final = Script(f"""
{_IS_OWN}
local stream, lease = KEYS[1], KEYS[2]
local group, consumer, token, milliseconds = unpack(ARGV, 1, 4)
if token ~= '' then
  if redis.call('GET', lease) ~= token then return {{'lost'}} end
  redis.call('PEXPIRE', lease, milliseconds)
end
local lost = {{}}
for i = 5, #ARGV do
  if is_own(stream, group, consumer, ARGV[i]) then
    redis.call('XCLAIM', stream, group, consumer, 0, ARGV[i], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return {{'ok', lost}}
""")
"""Extends a lease, and resets the idle time of entries; returns those that others have."""

RETRY: Final = Script(f"""
{_IS_OWN}
local group, consumer, id, attempt = unpack(ARGV)
if not is_own(KEYS[1], group, consumer, id) then return 0 end
redis.call('XCLAIM', KEYS[1], group, consumer, 0, id, 'RETRYCOUNT', attempt, 'JUSTID')
return 1
""")
"""Counts another attempt to handle an entry."""

RETURN: Final = Script(f"""
{_IS_OWN}
local group, consumer, idle = unpack(ARGV, 1, 3)
for i = 4, #ARGV, 2 do
  if is_own(KEYS[1], group, consumer, ARGV[i]) then
    redis.call('XCLAIM', KEYS[1], group, consumer, 0, ARGV[i],
      'IDLE', idle, 'RETRYCOUNT', ARGV[i + 1], 'JUSTID')
  end
end
""")
"""Lets others claim entries at once, and takes back the attempt that was not made."""

BURY: Final = Script(f"""
#!lua flags=allow-oom
{_IS_OWN}
local group, consumer, id, attempts = unpack(ARGV)
if not is_own(KEYS[1], group, consumer, id) then return 0 end
local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
if entry then
  local fields = entry[2]
  for _, each in ipairs({{'messageId', id, 'attempts', attempts}}) do
    fields[#fields + 1] = each
  end
  redis.call('XADD', KEYS[2], '*', unpack(fields))
end
redis.call('XACK', KEYS[1], group, id)
return 1
""")
"""Moves an entry to the stream of dead letters."""

FORGET: Final = Script("""
local group, consumer, idle = unpack(ARGV)
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], group)) do
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  local is_over = info['name'] == consumer or info['idle'] > tonumber(idle)
  if info['pending'] == 0 and is_over then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, info['name'])
  end
end
""")
"""Removes a consumer, and others that were idle for long, where nothing is pending with them."""

TRIM: Final = Script("""
local function split(id)
  local milliseconds, sequence = string.match(id, '(%d+)-(%d+)')
  return tonumber(milliseconds), tonumber(sequence)
end
local least, least_ms, least_seq
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local info = {}
  for i = 1, #flat, 2 do info[flat[i]] = flat[i + 1] end
  local id = info['last-delivered-id']
  local ms, seq = split(id)
  if info['pending'] > 0 then
    id = redis.call('XPENDING', KEYS[1], info['name'])[2]
    ms, seq = split(id)
  end
  if not least or ms < least_ms or (ms == least_ms and seq < least_seq) then
    least, least_ms, least_seq = id, ms, seq
  end
end
return least and redis.call('XTRIM', KEYS[1], 'MINID', '~', least) or 0
""")
"""Drops entries that every group has acknowledged: those before the first that one has not."""

LAG: Final = Script(f"""
{_FIND_GROUP}
local stream = KEYS[1]
local info = find_group(stream, ARGV[1])
if not info then return NOGROUP end
local after = '(' .. info['last-delivered-id']
local waiting, oldest = info['lag'], nil
if not waiting then
  waiting = 0
  local from = after
  repeat
    local page = redis.call('XRANGE', stream, from, '+', 'COUNT', 100)
    waiting = waiting + #page
    from = #page > 0 and '(' .. page[#page][1]
  until #page < 100
end
if info['pending'] > 0 then
  oldest = redis.call('XPENDING', stream, ARGV[1])[2]
else
  local following = redis.call('XRANGE', stream, after, '+', 'COUNT', 1)[1]
  oldest = following and following[1]
end
local age, now = 0, redis.call('TIME')
if oldest then age = now[1] * 1000 + now[2] / 1000 - string.match(oldest, '%d+') end
return {{waiting, info['pending'], math.max(age, 0), redis.call('XLEN', KEYS[2])}}
""")
"""Returns how many entries wait, are pending, and are dead, and the oldest one's age in ms."""

REGISTER: Final = Script("""
#!lua flags=allow-oom
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ms)
redis.call('ZADD', KEYS[1], ms + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
""")
"""Notes that a worker is alive, and returns how many are."""
