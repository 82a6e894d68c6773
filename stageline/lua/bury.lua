-- Buries a message that failed for good: out of the in-flight list, onto the dead letters.
-- KEYS: 1 the in-flight list, 2 the dead letters, 3 set of unfinished ids, 4 status hash
-- ARGV: 1 message as taken, 2 dead letter, 3 image id ('' when the message has none), 4 seconds to keep
--       the status, 5… status field, value, …
-- Returns 0, and does nothing, when the message is no longer in that list.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('RPUSH', KEYS[2], ARGV[2])
if ARGV[3] ~= '' then
  redis.call('SREM', KEYS[3], ARGV[3])
  redis.call('HSET', KEYS[4], unpack(ARGV, 5))
  redis.call('EXPIRE', KEYS[4], ARGV[4])
end
return 1
