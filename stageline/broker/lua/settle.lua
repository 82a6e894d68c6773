-- Says what came of a request that was claimed; see claim.lua.
-- KEYS: 1 the record of its key
-- ARGV: 1 who did it, 2 the answer ('': there is none, it may be done again under the same id), 3 seconds to keep it,
--       4 an id under which nothing at all was done ('': none): if it is the record's, the key is free
-- Returns 0, and does nothing, when it is somebody else's by now, or when there is no answer and one was told before.
local known = redis.call('HMGET', KEYS[1], 'owner', 'id', 'answer')
if known[1] ~= ARGV[1] or (known[3] and ARGV[2] == '') then return 0 end
if ARGV[2] == '' and ARGV[4] ~= '' and known[2] == ARGV[4] then
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], 'owner')
else
  redis.call('HSET', KEYS[1], 'answer', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[3])
end
return 1
