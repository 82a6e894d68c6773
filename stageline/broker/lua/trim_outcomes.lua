-- Takes outcomes that the catalogue has written down off their list.
-- KEYS: 1 the list of outcomes, 2 the lease of the one that writes, 3 since when the first of the list stands there
-- ARGV: 1 who asks, 2 how many, 3 the first of them, 4 the last of them
-- Returns 0, and does nothing, when the lease is somebody else's, or those are no longer the head of the list.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if redis.call('LINDEX', KEYS[1], 0) ~= ARGV[3] then return 0 end
if redis.call('LINDEX', KEYS[1], ARGV[2] - 1) ~= ARGV[4] then return 0 end
redis.call('LTRIM', KEYS[1], ARGV[2], -1)
redis.call('SET', KEYS[3], seconds())
return 1
