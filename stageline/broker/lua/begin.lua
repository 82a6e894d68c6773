-- Notes that a worker works on a message, if the message is still its own.
-- KEYS: in_flight, status, events, outcomes, outcomes_since, minute
-- ARGV: message, effects
-- Returns NOT_HELD when it is no longer this worker's; SUPERSEDED when its picture was deleted, or sent again: the worker
-- removes what there may be of it, and lets it go after that, so that one which dies in between leaves that to the next.
if not holds(key.in_flight, arg.message) then return result.NOT_HELD end
if superseded() then return result.SUPERSEDED end
write_effects()
return result.DONE
