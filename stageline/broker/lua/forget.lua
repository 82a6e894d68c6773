-- Removes a worker that holds nothing, and whose last heartbeat is so old that none of its pops can still wait.
-- KEYS: workers, models, in_flight
-- ARGV: identity, silent_seconds
local heartbeat = redis.call('ZSCORE', key.workers, arg.identity)
if not heartbeat or tonumber(heartbeat) > seconds() - arg.silent_seconds then return 0 end
if redis.call('LLEN', key.in_flight) > 0 then return 0 end
redis.call('HDEL', key.models, arg.identity)
return redis.call('ZREM', key.workers, arg.identity)
