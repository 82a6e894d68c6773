-- Moves delayed messages that are due onto their queue.
-- KEYS: delayed, queue
-- ARGV: most
-- Returns the number of messages moved, at most `most`.
local due = redis.call('ZRANGEBYSCORE', key.delayed, '-inf', seconds(), 'LIMIT', 0, arg.most)
for _, message in ipairs(due) do
  redis.call('ZREM', key.delayed, message)
  redis.call('RPUSH', key.queue, message)
end
return #due
