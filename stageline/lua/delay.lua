-- Puts a message aside until it is due again.
-- KEYS: 1 the worker's in-flight list, 2 the queue's sorted set of delayed messages, 3 status hash
-- ARGV: 1 message as taken, 2 message to try then, 3 seconds to wait, 4… status field, value, … (may be none)
-- Returns 0, and does nothing, when the message is no longer this worker's.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
local now = redis.call('TIME')
redis.call('ZADD', KEYS[2], now[1] + now[2] / 1e6 + ARGV[3], ARGV[2])
if ARGV[4] then redis.call('HSET', KEYS[3], unpack(ARGV, 4)) end
return 1
