-- Puts a message aside until it is due again.
-- KEYS: in_flight, delayed, status, events, outcomes, outcomes_since, minute
-- ARGV: message, again, pause, effects
-- again: the message to try then. pause: in seconds. effects: '' where there are none.
-- Returns NOT_HELD, and does nothing, when the message is no longer this worker's; SUPERSEDED, likewise, when it is to be
-- forgotten, see begin.lua.
if not holds(key.in_flight, arg.message) then return result.NOT_HELD end
if effects and superseded() then return result.SUPERSEDED end
redis.call('LREM', key.in_flight, 1, arg.message)
redis.call('ZADD', key.delayed, seconds() + arg.pause, arg.again)
if effects then write_effects() end
return result.DONE
