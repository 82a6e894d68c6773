-- Hands a message on: out of the worker's in-flight list, its successor onto the next queue, its status noted.
-- KEYS: 1 the worker's in-flight list, 2 the next queue, 3 status hash
-- ARGV: 1 message as taken, 2 successor, 3… status field, value, …
-- Returns 0, and does nothing, when the message is no longer this worker's.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[3], unpack(ARGV, 3))
return 1
