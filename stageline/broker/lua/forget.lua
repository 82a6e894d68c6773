-- Forgets a worker that holds nothing and has not beaten for so long that none of its pops can still be waiting.
-- KEYS: workers, models, in_flight
-- ARGV: identity, silent_seconds
local beat = redis.call('ZSCORE', key.workers, arg.identity)
if not beat or tonumber(beat) > seconds() - arg.silent_seconds then return 0 end
if redis.call('LLEN', key.in_flight) > 0 then return 0 end
redis.call('HDEL', key.models, arg.identity)
return redis.call('ZREM', key.workers, arg.identity)
