-- Removes a message from the in-flight list, and queues its successor for the next stage.
-- KEYS: in_flight, queue, status, events, outcomes, outcomes_since, minute
-- ARGV: message, successor, effects
-- Returns DONE; or NOT_HELD or SUPERSEDED, and does nothing.
if not holds(key.in_flight, arg.message) then return result.NOT_HELD end
if superseded() then return result.SUPERSEDED end
redis.call('LREM', key.in_flight, 1, arg.message)
redis.call('RPUSH', key.queue, arg.successor)
write_effects()
return result.DONE
