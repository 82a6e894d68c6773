-- Delays a message: moves it from the in-flight list to the queue's delayed messages.
-- KEYS: in_flight, delayed, status, events, outcomes, outcomes_since, minute
-- ARGV: message, again, pause, effects
-- again: the message to queue after the pause. pause: in seconds. effects: '' for none.
-- Returns DONE; or NOT_HELD or SUPERSEDED, and does nothing.
if not holds(key.in_flight, arg.message) then return result.NOT_HELD end
if effects and superseded() then return result.SUPERSEDED end
redis.call('LREM', key.in_flight, 1, arg.message)
redis.call('ZADD', key.delayed, seconds() + arg.pause, arg.again)
if effects then write_effects() end
return result.DONE
