-- Sends a dead letter down the line again, or drops it.
-- KEYS: 1 the dead letters, 2 the queue, 3 set of unfinished ids, 4 status hash
-- ARGV: 1 dead letter, 2 message to queue ('' to drop), 3 image id, 4… status field, value, …
-- Returns 0, and does nothing, when the dead letter is gone.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if ARGV[2] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[2])
  redis.call('SADD', KEYS[3], ARGV[3])
  redis.call('HSET', KEYS[4], unpack(ARGV, 4))
  redis.call('PERSIST', KEYS[4])
end
return 1
