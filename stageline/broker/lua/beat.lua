-- Renews a worker's lease, by the server's own clock.
-- KEYS: 1 sorted set of workers by their last beat, 2 hash of what workers say of their models
-- ARGV: 1 identity, 2 lease in seconds, 3 what this one says of its models, as JSON ('': it lacks none)
-- Returns 1 when the lease had not run out before; 0 when it had, or never was.
local before = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('ZADD', KEYS[1], seconds(), ARGV[1])
if ARGV[3] == '' then redis.call('HDEL', KEYS[2], ARGV[1]) else redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return (before and seconds() - before < tonumber(ARGV[2])) and 1 or 0
