-- Records the answer of a claimed request, or gives the claim up; see claim.lua.
-- KEYS: record
-- ARGV: owner, answer, kept_seconds, nothing_done_as
-- answer: '' when there is none, so that the request may be done again under the same id. nothing_done_as: an id for which
-- nothing was done at all, or ''; if the record has this id, the key is free again.
-- Returns DONE; or NOT_HELD, and does nothing, when another owner has the claim, or an answer was recorded before.
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
