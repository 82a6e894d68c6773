-- Takes a message out of the in-flight list for good: its picture was deleted, or sent again.
-- KEYS: 1 the worker's in-flight list
-- ARGV: 1 message as taken
return redis.call('LREM', KEYS[1], 1, ARGV[1])
