-- Renews a worker's lease, by the server's own clock.
-- KEYS: 1 sorted set of workers by their last beat
-- ARGV: 1 identity
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1] + now[2] / 1e6, ARGV[1])
return 1
