-- Ends a picture's way: out of the in-flight list, no longer unfinished, its status left to expire.
-- KEYS: 1 the worker's in-flight list, 2 set of unfinished ids, 3 status hash
-- ARGV: 1 message as taken, 2 image id, 3 seconds to keep the status, 4… status field, value, …
-- Returns 0, and does nothing, when the message is no longer this worker's.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('SREM', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[3], unpack(ARGV, 4))
redis.call('EXPIRE', KEYS[3], ARGV[3])
return 1
