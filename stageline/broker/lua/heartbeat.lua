-- Renews a worker's lease, by the server's own clock.
-- KEYS: workers, models
-- ARGV: identity, lease, lacks
-- lacks: the models that this worker lacks, as JSON; '' for none.
-- Returns 1 when the lease had not expired before; 0 when it had, or when there was none.
local before = redis.call('ZSCORE', key.workers, arg.identity)
redis.call('ZADD', key.workers, seconds(), arg.identity)
if arg.lacks == '' then redis.call('HDEL', key.models, arg.identity)
else redis.call('HSET', key.models, arg.identity, arg.lacks) end
return (before and seconds() - before < tonumber(arg.lease)) and 1 or 0
