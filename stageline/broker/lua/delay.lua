-- Puts a message aside until it is due again.
-- KEYS: 1 the worker's in-flight list, 2 the queue's sorted set of delayed messages; the notes'
-- ARGV: 1 message as taken, 2 message to try then, 3 seconds to wait, 4… notes (may be none)
-- Returns 0, and does nothing, when the message is no longer this worker's; -1, likewise, when it is to be forgotten,
-- see begin.lua.
if not holds(KEYS[1], ARGV[1]) then return 0 end
if ARGV[4] and superseded(4) then return -1 end
redis.call('LREM', KEYS[1], 1, ARGV[1])
redis.call('ZADD', KEYS[2], seconds() + ARGV[3], ARGV[2])
if ARGV[4] then note(4) end
return 1
