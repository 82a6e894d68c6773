-- Moves delayed messages that are due onto their queue.
-- KEYS: 1 the queue's sorted set of delayed messages, 2 the queue
-- ARGV: 1 how many at most
-- Returns how many it moved.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', seconds(), 'LIMIT', 0, ARGV[1])
for _, message in ipairs(due) do
  redis.call('ZREM', KEYS[1], message)
  redis.call('RPUSH', KEYS[2], message)
end
return #due
