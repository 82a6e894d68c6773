-- Deletes what Redis knows of a picture, and leaves a tombstone in its status: a run that no message has.
-- KEYS: 1 sorted set of unfinished ids, 2 id by content ('': not known), 3 id by filename ('': has none); the notes'
-- ARGV: 1 image id, 2 seconds to keep the tombstone, 3 the same while it may be on its way, 4… notes
local status = KEYS[#KEYS - 4]
local was, kept = redis.call('HGET', status, 'status'), redis.call('TTL', status)
local moving = redis.call('ZREM', KEYS[1], ARGV[1]) == 1 or was == 'submitted' or was == 'processing'
local keep = tonumber(moving and ARGV[3] or ARGV[2])
if was == 'deleted' then keep = math.max(keep, kept) end
for i = 2, 3 do
  if KEYS[i] ~= '' and redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
redis.call('DEL', status)
note(4)
redis.call('EXPIRE', status, keep)
return 1
