-- Takes outcomes that the catalogue has written down off their list.
-- KEYS: outcomes, outcomes_since, writer
-- ARGV: identity, count, first, last
-- writer: the lease of the one that writes. identity: who asks. first, last: of those that were written down.
-- Returns NOT_HELD, and does nothing, when the lease is somebody else's, or those are no longer the head of the list.
if redis.call('GET', key.writer) ~= arg.identity then return result.NOT_HELD end
if redis.call('LINDEX', key.outcomes, 0) ~= arg.first then return result.NOT_HELD end
if redis.call('LINDEX', key.outcomes, arg.count - 1) ~= arg.last then return result.NOT_HELD end
redis.call('LTRIM', key.outcomes, arg.count, -1)
redis.call('SET', key.outcomes_since, seconds())
return result.DONE
