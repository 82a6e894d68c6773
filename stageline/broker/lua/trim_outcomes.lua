-- Removes the outbox events that the catalogue has written.
-- KEYS: outcomes, outcomes_since, writer
-- ARGV: identity, count, first, last
-- writer: the key of the writer's lease. identity: the process that asks. first, last: of the events that were written.
-- Returns DONE; or NOT_HELD, and does nothing, when another writer has the lease, or the list no longer begins with them.
if redis.call('GET', key.writer) ~= arg.identity or redis.call('LINDEX', key.outcomes, 0) ~= arg.first
  or redis.call('LINDEX', key.outcomes, arg.count - 1) ~= arg.last then return result.NOT_HELD end
redis.call('LTRIM', key.outcomes, arg.count, -1)
redis.call('SET', key.outcomes_since, seconds())
return result.DONE
