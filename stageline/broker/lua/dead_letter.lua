-- Moves a message that failed for good from the in-flight list to the dead letters.
-- KEYS: in_flight, dead_letters, dead_counts, unfinished, pace, content, status, events, outcomes, outcomes_since, minute
-- ARGV: message, dead_letter, stage, image_id, status_seconds, effects
-- content: the key of the id by content; '' when not known. image_id: '' when the message has none.
-- Returns DONE; or NOT_HELD or SUPERSEDED, and does nothing.
if not holds(key.in_flight, arg.message) then return result.NOT_HELD end
if arg.image_id ~= '' and superseded() then return result.SUPERSEDED end
redis.call('LREM', key.in_flight, 1, arg.message)
if redis.call('RPUSH', key.dead_letters, arg.dead_letter) == 1 then -- an operator emptied the list by hand
  redis.call('DEL', key.dead_counts)
end
redis.call('HINCRBY', key.dead_counts, arg.stage, 1)
if arg.image_id ~= '' then
  leave(arg.image_id)
  if key.content ~= '' and redis.call('GET', key.content) == arg.image_id then redis.call('DEL', key.content) end
  write_effects()
  redis.call('EXPIRE', key.status, arg.status_seconds)
end
return result.DONE
