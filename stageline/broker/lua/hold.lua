-- Holds a claim for longer; see claim.lua. It brings back none that another took over, and none that was settled.
-- KEYS: record
-- ARGV: owner, held_seconds
-- Returns NOT_HELD, and does nothing, when it is somebody else's by now, or settled; NO_RECORD when there is no record of
-- it: Redis lost it, and it must be claimed anew.
local known = redis.call('HMGET', key.record, 'owner', 'answer', 'id')
if not known[3] then return result.NO_RECORD end
if known[1] ~= arg.owner or known[2] then return result.NOT_HELD end
redis.call('HSET', key.record, 'until', seconds() + arg.held_seconds)
return result.DONE
