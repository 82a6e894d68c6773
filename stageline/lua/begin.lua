-- Notes that a worker works on a message, if the message is still its own.
-- KEYS: 1 the worker's in-flight list, 2 status hash
-- ARGV: 1 message as taken, 2… status field, value, …
if not redis.call('LPOS', KEYS[1], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 2))
return 1
