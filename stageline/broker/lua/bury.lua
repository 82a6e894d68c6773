-- Buries a message that failed for good: out of the in-flight list, onto the dead letters.
-- KEYS: 1 the in-flight list, 2 the dead letters, 3 counts of them by stage, 4 sorted set of unfinished ids, 5 the pace,
--       6 id by content ('' when that is not known); the notes'
-- ARGV: 1 message as taken, 2 dead letter, 3 its stage, 4 image id ('' when the message has none), 5 seconds to
--       keep the status, 6… notes
-- Returns 0, and does nothing, when the message is no longer in that list; -1, likewise, when it is to be forgotten,
-- see begin.lua.
if not holds(KEYS[1], ARGV[1]) then return 0 end
if ARGV[4] ~= '' and superseded(6) then return -1 end
redis.call('LREM', KEYS[1], 1, ARGV[1])
if redis.call('RPUSH', KEYS[2], ARGV[2]) == 1 then redis.call('DEL', KEYS[3]) end -- somebody emptied the list by hand
redis.call('HINCRBY', KEYS[3], ARGV[3], 1)
if ARGV[4] ~= '' then
  leave(KEYS[4], KEYS[5], ARGV[4])
  if KEYS[6] ~= '' and redis.call('GET', KEYS[6]) == ARGV[4] then redis.call('DEL', KEYS[6]) end
  note(6)
  redis.call('EXPIRE', KEYS[#KEYS - 4], ARGV[5])
end
return 1
