-- Renews a worker's lease, by the server's own clock.
-- KEYS: 1 sorted set of workers by their last beat
-- ARGV: 1 identity, 2 lease in seconds
-- Returns 1 when the lease had not run out before; 0 when it had, or never was.
local now = redis.call('TIME')
local second = now[1] + now[2] / 1e6
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], second, ARGV[1])
return (before and second - before < tonumber(ARGV[2])) and 1 or 0
