-- Keeps what came of a batch's files, unless another request has taken its Idempotency-Key over, and keeps its own.
-- KEYS: 1 the batch's record, 2 the record of its key
-- ARGV: 1 what came of its files, 2 seconds to keep that, 3 who does it
-- Returns 0, and does nothing, when the key is somebody else's by now.
local owner = redis.call('HGET', KEYS[2], 'owner')
if owner and owner ~= ARGV[3] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
