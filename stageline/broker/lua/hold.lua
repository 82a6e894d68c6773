-- Renews a claim (see claim.lua), unless another owner has taken it over or it was answered.
-- KEYS: record
-- ARGV: owner, held_seconds
-- Returns DONE; NOT_HELD, and does nothing, when another owner has the claim or it was answered; NO_RECORD when Redis lost
-- the record, so that the request must be claimed again.
local known = redis.call('HMGET', key.record, 'owner', 'answer', 'id')
if not known[3] then return result.NO_RECORD end
if known[1] ~= arg.owner or known[2] then return result.NOT_HELD end
redis.call('HSET', key.record, 'until', seconds() + arg.held_seconds)
return result.DONE
