"""Lua scripts of snapshots, each one step to all others.

A snapshot is a key of its own, which Redis may let run out. The index of an aggregate is a sorted
set, in the order of bytes, of ``<reducer version>:<version of 16 digits>``.
"""

from typing import Final

from castore_redis._client import Script

PUT: Final = Script("""
redis.call('ZADD', KEYS[1], 0, ARGV[1])
if ARGV[3] == '' then
  redis.call('SET', KEYS[2], ARGV[2])
  redis.call('PERSIST', KEYS[1])
else
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  if redis.call('ZCARD', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
end
""")
"""KEYS: index, snapshot. ARGV: name in the index, text, milliseconds or nothing.

The index lasts as long as the last of its snapshots.
"""

GET: Final = Script("""
while true do
  local names = redis.call('ZREVRANGEBYLEX', KEYS[1], ARGV[1], ARGV[2], 'LIMIT', 0, 1)
  if #names == 0 then return false end
  local text = redis.call('GET', KEYS[1] .. ':' .. names[1])
  if text then return {names[1], text} end
  redis.call('ZREM', KEYS[1], names[1])
end
""")
"""KEYS: index. ARGV: upper and lower bound of names. Returns the last name there, and its text."""

LIST: Final = Script("""
local found = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('EXISTS', KEYS[1] .. ':' .. name) == 1 then
    found[#found + 1] = name
  else
    redis.call('ZREM', KEYS[1], name)
  end
end
return found
""")
"""KEYS: index. Returns the names of its snapshots."""

DELETE: Final = Script("""
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local reducer, version = string.match(name, '^(.*):(%d+)$')
  if (ARGV[1] == '' or ARGV[1] == reducer) and version <= ARGV[2] then
    redis.call('DEL', KEYS[1] .. ':' .. name)
    redis.call('ZREM', KEYS[1], name)
  end
end
""")
"""KEYS: index. ARGV: reducer version or nothing, greatest version."""
