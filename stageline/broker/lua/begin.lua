-- Records that a worker works on a message, if the worker still holds it.
-- KEYS: in_flight, status, events, outcomes, outcomes_since, minute
-- ARGV: message, effects
-- Returns DONE; NOT_HELD; or SUPERSEDED when the picture was deleted or sent again. The worker then removes the picture's
-- objects before it drops the message, so that another worker repeats the removal if this one dies in between.
if not holds(key.in_flight, arg.message) then return result.NOT_HELD end
if superseded() then return result.SUPERSEDED end
write_effects()
return result.DONE
