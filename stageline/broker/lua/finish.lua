-- Ends a picture's way, or this part of it: out of the in-flight list, no longer unfinished, its status left to expire.
-- KEYS: 1 the worker's in-flight list, 2 sorted set of unfinished ids, 3 the pace; the notes'
-- ARGV: 1 message as taken, 2 image id, 3 seconds to keep the status, 4… notes
-- Returns 0, and does nothing, when the message is no longer this worker's; -1, likewise, when it is to be forgotten, see begin.lua.
if not holds(KEYS[1], ARGV[1]) then return 0 end
if superseded(4) then return -1 end
redis.call('LREM', KEYS[1], 1, ARGV[1])
leave(KEYS[2], KEYS[3], ARGV[2])
note(4)
redis.call('EXPIRE', KEYS[#KEYS - 4], ARGV[3])
return 1
