-- Puts a message back at the head of its queue: nothing was done to it, so no attempt is counted.
-- KEYS: in_flight, queue
-- ARGV: message, again
-- again: the message to put back: the same, or with its attempt counted up.
-- Returns NOT_HELD, and does nothing, when the message is no longer in that list.
if redis.call('LREM', key.in_flight, 1, arg.message) == 0 then return result.NOT_HELD end
redis.call('LPUSH', key.queue, arg.again)
return result.DONE
