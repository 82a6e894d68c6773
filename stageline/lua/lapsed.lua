-- Lists the workers whose lease ran out.
-- KEYS: 1 sorted set of workers by their last beat
-- ARGV: 1 lease in seconds
local now = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now[1] + now[2] / 1e6 - ARGV[1])
