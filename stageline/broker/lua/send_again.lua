-- Sends a picture down the line again, as its next run.
-- KEYS: unfinished, pace, queue, status, events, outcomes, outcomes_since, minute
-- ARGV: image_id, message, most, run_before, effects
-- most: how many pictures may be unfinished. run_before: the picture's run so far.
-- Returns SENT; MOVING when the picture is in progress; CHANGED when another request sent it again or deleted it; FULL.
local known = redis.call('HMGET', key.status, 'run', 'status')
if known[2] == 'submitted' or known[2] == 'processing' or redis.call('ZSCORE', key.unfinished, arg.image_id) then
  return result.MOVING
end
if known[1] and tonumber(known[1]) ~= tonumber(arg.run_before) then return result.CHANGED end
if redis.call('ZCARD', key.unfinished) >= tonumber(arg.most) then return result.FULL end
redis.call('DEL', key.status)
write_effects()
enter(arg.image_id)
redis.call('RPUSH', key.queue, arg.message)
return result.SENT
