"""Lua scripts of bookmarks, each one step to all others, on the clock of the server.

A bookmark is a hash. Its lease is a key of its own, which Redis lets run out. Parked events are a
hash of JSON texts by position, another one of failures, and a sorted set that orders them.
"""

from typing import Final

from castore_redis._client import Script

_NOW: Final = """
local function now()
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
"""

GET: Final = Script("""
local found = redis.call('HMGET', KEYS[1], 'position', 'movedAt', 'renewedAt')
return {found[1], found[2], found[3], redis.call('GET', KEYS[2])}
""")
"""KEYS: bookmark, lease. Returns position, moment of the move, moment of the renewal, lease."""

CREATE: Final = Script(f"""{_NOW}
if redis.call('HSETNX', KEYS[1], 'position', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'movedAt', now())
end
return redis.call('HGET', KEYS[1], 'position')
""")
"""KEYS: bookmark. ARGV: position. Returns the position."""

ACQUIRE: Final = Script(f"""{_NOW}
local token
local lease = redis.call('GET', KEYS[2])
if lease then
  local space = string.find(lease, ' ', 1, true)
  if string.sub(lease, space + 1) ~= ARGV[1] then return false end
  token = string.sub(lease, 1, space - 1)
else
  redis.call('HINCRBY', KEYS[1], 'token', 1)
  token = redis.call('HGET', KEYS[1], 'token')
end
if tonumber(ARGV[2]) > 0 then
  redis.call('SET', KEYS[2], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
else
  redis.call('DEL', KEYS[2])
end
redis.call('HSET', KEYS[1], 'renewedAt', now())
return {{token, redis.call('HGET', KEYS[1], 'moves') or '0'}}
""")
"""KEYS: bookmark, lease. ARGV: owner, milliseconds.

Returns the token, and how often the bookmark has moved, or nothing.
"""

RELEASE: Final = Script("""
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
""")
"""KEYS: lease. ARGV: the value that it has to have."""

CHECK: Final = Script("""
local types = {}
for index = 3, #KEYS do types[index - 2] = redis.call('TYPE', KEYS[index]).ok end
local found = redis.call('HMGET', KEYS[1], 'write', 'moves')
return {found[1], found[2] or '0', redis.call('GET', KEYS[2]), types}
""")
"""KEYS: bookmark, lease, any others.

Returns the mark of the last move, how often the bookmark has moved, the lease, the types.
"""

MOVE: Final = Script(f"""{_NOW}
redis.call('HSET', KEYS[1], 'position', ARGV[1], 'movedAt', now(), 'write', ARGV[2])
local first = 4 + tonumber(ARGV[3])
for index = 4, first - 1 do
  redis.call('ZREM', KEYS[2], ARGV[index])
  redis.call('HDEL', KEYS[3], ARGV[index])
  redis.call('HDEL', KEYS[4], ARGV[index])
end
for index = first, #ARGV, 3 do
  local position, event, failure = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  redis.call('ZADD', KEYS[2], 0, position)
  redis.call('HSET', KEYS[3], position, event)
  if failure == '' then
    redis.call('HDEL', KEYS[4], position)
  else
    redis.call('HSET', KEYS[4], position, failure)
  end
end
return redis.call('HINCRBY', KEYS[1], 'moves', 1)
""")
"""KEYS: bookmark, order, parked, failures. Returns how often the bookmark has moved.

ARGV: position, mark, how many are unparked, their positions, and three values of each parked event:
position, event, failure.
"""

READ_PARKED: Final = Script("""
local min = ARGV[1] == '' and '-' or '(' .. ARGV[1]
local positions = redis.call('ZRANGEBYLEX', KEYS[1], min, '+', 'LIMIT', 0, ARGV[2])
if #positions == 0 then return {{}, {}, {}} end
return {
  positions,
  redis.call('HMGET', KEYS[2], unpack(positions)),
  redis.call('HMGET', KEYS[3], unpack(positions)),
}
""")
"""KEYS: order, parked, failures. ARGV: the position before, the greatest number."""

DROP_PARKED: Final = Script("""
for index = 1, #ARGV do
  redis.call('ZREM', KEYS[1], ARGV[index])
  redis.call('HDEL', KEYS[2], ARGV[index])
  redis.call('HDEL', KEYS[3], ARGV[index])
end
""")
"""KEYS: order, parked, failures. ARGV: positions."""

RETRY_PARKED: Final = Script("""
for index = 1, #ARGV do redis.call('HDEL', KEYS[1], ARGV[index]) end
""")
"""KEYS: failures. ARGV: positions."""
