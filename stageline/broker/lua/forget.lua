-- Forgets a worker that holds nothing and has not beaten for so long that none of its pops can still be waiting.
-- KEYS: 1 sorted set of workers by their last beat, 2 its in-flight list, 3 hash of what workers say of their models
-- ARGV: 1 identity, 2 seconds since its last beat
local beat = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not beat or tonumber(beat) > seconds() - ARGV[2] then return 0 end
if redis.call('LLEN', KEYS[2]) > 0 then return 0 end
redis.call('HDEL', KEYS[3], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])
