-- Says what came of a request that was claimed; see claim.lua.
-- KEYS: record
-- ARGV: owner, answer, kept_seconds, nothing_done_as
-- answer: '': there is none, the request may be done again under the same id. nothing_done_as: an id under which nothing at
-- all was done ('': none): if it is the record's, the key is free.
-- Returns NOT_HELD, and does nothing, when it is somebody else's by now, or when there is no answer and one was told before.
local known = redis.call('HMGET', key.record, 'owner', 'id', 'answer')
if known[1] ~= arg.owner or (known[3] and arg.answer == '') then return result.NOT_HELD end
if arg.answer == '' and arg.nothing_done_as ~= '' and known[2] == arg.nothing_done_as then
  redis.call('DEL', key.record)
elseif arg.answer == '' then
  redis.call('HDEL', key.record, 'owner')
else
  redis.call('HSET', key.record, 'answer', arg.answer)
  redis.call('EXPIRE', key.record, arg.kept_seconds)
end
return result.DONE
