-- Accepts a picture: its status, its place among the unfinished and its message, in one step. May be repeated.
-- KEYS: 1 status hash, 2 set of unfinished ids, 3 the first queue
-- ARGV: 1 image id, 2 message, 3 most unfinished allowed (0: no limit), 4… status field, value, …
-- Returns 1 accepted (also when it already was), 0 when the line is full.
if redis.call('EXISTS', KEYS[1]) == 1 then return 1 end
local most = tonumber(ARGV[3])
if most > 0 and redis.call('SCARD', KEYS[2]) >= most then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('RPUSH', KEYS[3], ARGV[2])
return 1
