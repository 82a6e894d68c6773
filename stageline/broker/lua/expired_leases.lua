-- Lists the workers whose lease ran out; also those whose last beat lies in a time to come, by more than a lease: they
-- died before the server's clock was set back. From now on their last beat counts as one of a lease ago.
-- KEYS: workers
-- ARGV: lease
local lapsed = redis.call('ZRANGEBYSCORE', key.workers, '-inf', seconds() - arg.lease)
for _, identity in ipairs(redis.call('ZRANGEBYSCORE', key.workers, '(' .. seconds() + arg.lease, '+inf')) do
  redis.call('ZADD', key.workers, seconds() - arg.lease, identity)
  table.insert(lapsed, identity)
end
return lapsed
