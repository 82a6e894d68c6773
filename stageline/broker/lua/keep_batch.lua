-- Keeps the answers for a batch's files, unless another request has taken over its Idempotency-Key.
-- KEYS: batch, record
-- ARGV: content, kept_seconds, owner
-- batch: where the answers are kept. record: of the Idempotency-Key. content: the answers. owner: the process that asks.
-- Returns DONE; or NOT_HELD, and does nothing, when another owner has the key.
local owner = redis.call('HGET', key.record, 'owner')
if owner and owner ~= arg.owner then return result.NOT_HELD end
redis.call('SET', key.batch, arg.content, 'EX', arg.kept_seconds)
return result.DONE
