-- Removes a message from the in-flight list for good: its picture was deleted or sent again.
-- KEYS: in_flight
-- ARGV: message
return redis.call('LREM', key.in_flight, 1, arg.message)
