-- Claims a request with an Idempotency-Key, or returns its answer if it was answered before.
-- KEYS: record
-- ARGV: fingerprint, owner, held_seconds, kept_seconds, image_id
-- fingerprint: a digest of the request. owner: the process that asks. held_seconds: how long the claim lasts without a
-- renewal (hold.lua). image_id: the id chosen for the picture.
-- Returns {CLAIMED, id}: the owner must do the request under this id, the first that was chosen for it;
-- {ANSWERED, id, answer}; {RUNNING, seconds until the claim expires}; {OTHER_REQUEST}: the key belongs to another request.
local known = redis.call('HMGET', key.record, 'fingerprint', 'owner', 'until', 'id', 'answer')
if known[1] and known[1] ~= arg.fingerprint then return {result.OTHER_REQUEST} end
if known[5] then return {result.ANSWERED, known[4], known[5]} end
local now, left = seconds(), 0
if known[2] and known[2] ~= arg.owner then left = known[3] - now end
if left > 0 and left <= arg.held_seconds + 1 then -- a longer time means that the clock was set back
  return {result.RUNNING, math.ceil(left)}
end
local id = known[4] or arg.image_id
redis.call('HSET', key.record, 'fingerprint', arg.fingerprint, 'owner', arg.owner,
  'until', now + arg.held_seconds, 'id', id)
redis.call('EXPIRE', key.record, arg.kept_seconds)
return {result.CLAIMED, id}
