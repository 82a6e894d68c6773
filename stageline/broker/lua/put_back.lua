-- Returns a message from the in-flight list to the head of its queue.
-- KEYS: in_flight, queue
-- ARGV: message, again
-- again: the message to queue: the same one, or the one of the next attempt.
-- Returns DONE; or NOT_HELD, and does nothing, when the message is no longer in the in-flight list.
if redis.call('LREM', key.in_flight, 1, arg.message) == 0 then return result.NOT_HELD end
redis.call('LPUSH', key.queue, arg.again)
return result.DONE
