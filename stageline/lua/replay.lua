-- Sends a dead letter down the line again.
-- KEYS: 1 the dead letters, 2 counts of them by stage, 3 the queue, 4 set of unfinished ids, 5 status hash
-- ARGV: 1 dead letter, 2 its stage, 3 message to queue, 4 image id, 5… status field, value, …
-- Returns 0, and does nothing, when the dead letter is gone.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if redis.call('HINCRBY', KEYS[2], ARGV[2], -1) <= 0 then redis.call('HDEL', KEYS[2], ARGV[2]) end
redis.call('RPUSH', KEYS[3], ARGV[3])
redis.call('SADD', KEYS[4], ARGV[4])
redis.call('HDEL', KEYS[5], 'reason', 'stage:' .. ARGV[2])
redis.call('HSET', KEYS[5], unpack(ARGV, 5))
redis.call('PERSIST', KEYS[5])
return 1
