-- Claims a request that may be sent again under the same key, or tells what came of it.
-- KEYS: 1 the record of that key
-- ARGV: 1 fingerprint of what is asked for, 2 who asks, 3 seconds that it is held without a further word (hold.lua),
--       4 seconds to keep the record, 5 the id that is chosen for it
-- Returns {'yours', id}: do it, under this id, which is the one that was chosen first; {'done', id, answer};
-- {'running', seconds until it may be claimed, if its owner is silent}; {'other'}: the key was used for something else.
local known = redis.call('HMGET', KEYS[1], 'fingerprint', 'owner', 'until', 'id', 'answer')
if known[1] and known[1] ~= ARGV[1] then return {'other'} end
if known[5] then return {'done', known[4], known[5]} end
local now, left = seconds(), 0
if known[2] and known[2] ~= ARGV[2] then left = known[3] - now end
if left > 0 and left <= ARGV[3] + 1 then return {'running', math.ceil(left)} end -- more: the clock was set back
local id = known[4] or ARGV[5]
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[1], 'owner', ARGV[2], 'until', now + ARGV[3], 'id', id)
redis.call('EXPIRE', KEYS[1], ARGV[4])
return {'yours', id}
