-- Notes that a worker works on a message, if the message is still its own.
-- KEYS: 1 the worker's in-flight list; the notes'
-- ARGV: 1 message as taken, 2… notes
-- Returns 0 when it is no longer this worker's, -1 when it was dropped: its picture was deleted, or sent again.
if not redis.call('LPOS', KEYS[1], ARGV[1]) then return 0 end
if superseded(2) then
  redis.call('LREM', KEYS[1], 1, ARGV[1])
  return -1
end
note(2)
return 1
