-- Puts a message back at the head of its queue: nothing was done to it, so no attempt is counted.
-- KEYS: 1 the in-flight list, 2 the queue
-- ARGV: 1 message as taken, 2 message to put back (the same, or with its attempt counted up)
-- Returns 0, and does nothing, when the message is no longer in that list.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
