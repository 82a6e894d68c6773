-- Deletes a picture's state, and leaves a tombstone in its status: a run that no message has.
-- KEYS: unfinished, content, name, status, events, outcomes, outcomes_since, minute
-- ARGV: image_id, kept_seconds, kept_seconds_moving, effects
-- content, name: the keys of the id by content and by filename; '' when not known. kept_seconds: how long the tombstone
-- is kept; kept_seconds_moving: the same for a picture that may be in progress.
local was, kept = redis.call('HGET', key.status, 'status'), redis.call('TTL', key.status)
local moving = redis.call('ZREM', key.unfinished, arg.image_id) == 1 or was == 'submitted' or was == 'processing'
local keep = tonumber(moving and arg.kept_seconds_moving or arg.kept_seconds)
if was == 'deleted' then keep = math.max(keep, kept) end
for _, id in ipairs({key.content, key.name}) do
  if id ~= '' and redis.call('GET', id) == arg.image_id then redis.call('DEL', id) end
end
redis.call('DEL', key.status)
write_effects()
redis.call('EXPIRE', key.status, keep)
return result.DONE
