-- Keeps what came of a batch's files, unless another request has taken its Idempotency-Key over, and keeps its own.
-- KEYS: batch, record
-- ARGV: content, kept_seconds, owner
-- batch: where it is kept. record: of its Idempotency-Key. content: what came of its files. owner: who does it.
-- Returns NOT_HELD, and does nothing, when the key is somebody else's by now.
local owner = redis.call('HGET', key.record, 'owner')
if owner and owner ~= arg.owner then return result.NOT_HELD end
redis.call('SET', key.batch, arg.content, 'EX', arg.kept_seconds)
return result.DONE
