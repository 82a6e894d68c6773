-- Lists the workers whose lease ran out; also those whose last beat lies in a time to come, by more than a lease: they
-- died before the server's clock was set back. From now on their last beat counts as one of a lease ago.
-- KEYS: 1 sorted set of workers by their last beat
-- ARGV: 1 lease in seconds
local lapsed = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', seconds() - ARGV[1])
for _, identity in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. seconds() + ARGV[1], '+inf')) do
  redis.call('ZADD', KEYS[1], seconds() - ARGV[1], identity)
  table.insert(lapsed, identity)
end
return lapsed
