-- Notes that a worker works on a message, if the message is still its own.
-- KEYS: 1 the worker's in-flight list; the notes'
-- ARGV: 1 message as taken, 2… notes
-- Returns 0 when it is no longer this worker's; -1 when its picture was deleted, or sent again: the worker removes what
-- there may be of it, and lets it go after that, so that one which dies in between leaves that to the next.
if not holds(KEYS[1], ARGV[1]) then return 0 end
if superseded(2) then return -1 end
note(2)
return 1
