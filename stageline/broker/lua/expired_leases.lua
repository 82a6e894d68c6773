-- Lists the workers whose lease expired. A worker whose last heartbeat lies more than a lease in the future died before the
-- server's clock was set back; it is listed too, and its last heartbeat is set to a lease ago.
-- KEYS: workers
-- ARGV: lease
local expired = redis.call('ZRANGEBYSCORE', key.workers, '-inf', seconds() - arg.lease)
for _, identity in ipairs(redis.call('ZRANGEBYSCORE', key.workers, '(' .. seconds() + arg.lease, '+inf')) do
  redis.call('ZADD', key.workers, seconds() - arg.lease, identity)
  table.insert(expired, identity)
end
return expired
