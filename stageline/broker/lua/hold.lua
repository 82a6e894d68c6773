-- Holds a claim for longer; see claim.lua. It brings back none that another took over, and none that was settled.
-- KEYS: 1 the record of its key
-- ARGV: 1 who does it, 2 seconds that it is held without a further word
-- Returns 0, and does nothing, when it is somebody else's by now, or settled; -1 when there is no record of it: Redis
-- lost it, and it must be claimed anew.
local known = redis.call('HMGET', KEYS[1], 'owner', 'answer', 'id')
if not known[3] then return -1 end
if known[1] ~= ARGV[1] or known[2] then return 0 end
redis.call('HSET', KEYS[1], 'until', seconds() + ARGV[2])
return 1
