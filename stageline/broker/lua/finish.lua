-- Ends a picture's run, or lets it wait: removes its message, ends its being unfinished, lets its status expire.
-- KEYS: in_flight, unfinished, pace, status, events, outcomes, outcomes_since, minute
-- ARGV: message, image_id, status_seconds, effects
-- Returns DONE; or NOT_HELD or SUPERSEDED, and does nothing.
if not holds(key.in_flight, arg.message) then return result.NOT_HELD end
if superseded() then return result.SUPERSEDED end
redis.call('LREM', key.in_flight, 1, arg.message)
leave(arg.image_id)
write_effects()
redis.call('EXPIRE', key.status, arg.status_seconds)
return result.DONE
