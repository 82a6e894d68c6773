-- Hands a message on: out of the worker's in-flight list, its successor onto the next queue.
-- KEYS: 1 the worker's in-flight list, 2 the next queue; the notes'
-- ARGV: 1 message as taken, 2 successor, 3… notes
-- Returns 0, and does nothing, when the message is no longer this worker's; -1, likewise, when it is to be forgotten, see begin.lua.
if not holds(KEYS[1], ARGV[1]) then return 0 end
if superseded(3) then return -1 end
redis.call('LREM', KEYS[1], 1, ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[2])
note(3)
return 1
