-- Claims a request that may be sent again under the same key, or tells what came of it.
-- KEYS: 1 the record of that key
-- ARGV: 1 fingerprint of what is asked for, 2 who asks, 3 seconds that it may take, 4 seconds to keep the record,
--       5 the id that is chosen for it
-- Returns {'yours', id}: do it, under this id, which is the one that was chosen first; {'done', id, answer}; {'running'}:
-- somebody else is doing it; {'other'}: the key was used for something else.
local known = redis.call('HMGET', KEYS[1], 'fingerprint', 'owner', 'until', 'id', 'answer')
if known[1] and known[1] ~= ARGV[1] then return {'other'} end
if known[5] then return {'done', known[4], known[5]} end
local now = seconds()
if known[2] and known[2] ~= ARGV[2] and tonumber(known[3]) > now then return {'running'} end
local id = known[4] or ARGV[5]
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'owner', ARGV[2], 'until', now + ARGV[3], 'id', id)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {'yours', id}
