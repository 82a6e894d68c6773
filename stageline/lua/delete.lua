-- Deletes what Redis knows of a picture, and leaves a tombstone in its status: a run that no message has.
-- KEYS: 1 sorted set of unfinished ids, 2 id by content ('': not known), 3 id by filename ('': has none); the notes'
-- ARGV: 1 image id, 2 seconds to keep the tombstone, 3 the same while it is on its way, 4… notes
local moving = redis.call('ZREM', KEYS[1], ARGV[1]) == 1
for i = 2, 3 do
  if KEYS[i] ~= '' and redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
redis.call('DEL', KEYS[#KEYS - 3])
note(4)
redis.call('EXPIRE', KEYS[#KEYS - 3], moving and ARGV[3] or ARGV[2])
return 1
