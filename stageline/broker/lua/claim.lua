-- Claims a request that may be sent again under the same key, or tells what came of it.
-- KEYS: record
-- ARGV: fingerprint, owner, held_seconds, kept_seconds, image_id
-- fingerprint: of what is asked for. owner: who asks. held_seconds: for which it is held without a further word
-- (hold.lua). image_id: the id that is chosen for it.
-- Returns {CLAIMED, id}: do it, under this id, which is the one that was chosen first; {ANSWERED, id, answer};
-- {RUNNING, seconds until it may be claimed, if its owner is silent}; {OTHER_REQUEST}: the key was used for another.
local known = redis.call('HMGET', key.record, 'fingerprint', 'owner', 'until', 'id', 'answer')
if known[1] and known[1] ~= arg.fingerprint then return {result.OTHER_REQUEST} end
if known[5] then return {result.ANSWERED, known[4], known[5]} end
local now, left = seconds(), 0
if known[2] and known[2] ~= arg.owner then left = known[3] - now end
if left > 0 and left <= arg.held_seconds + 1 then -- more: the clock was set back
  return {result.RUNNING, math.ceil(left)}
end
local id = known[4] or arg.image_id
redis.call('HSET', key.record, 'fingerprint', arg.fingerprint, 'owner', arg.owner,
  'until', now + arg.held_seconds, 'id', id)
redis.call('EXPIRE', key.record, arg.kept_seconds)
return {result.CLAIMED, id}
