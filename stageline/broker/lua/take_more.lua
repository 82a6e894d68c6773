-- Takes further messages after the one that the worker's BLMOVE returned, without waiting.
-- KEYS: queue, in_flight
-- ARGV: most
-- Returns up to `most` messages in the queue's order, and at most half of those that wait, to leave some for other workers.
local most = math.min(tonumber(arg.most), math.ceil(redis.call('LLEN', key.queue) / 2))
local taken = {}
for i = 1, most do
  taken[i] = redis.call('LMOVE', key.queue, key.in_flight, 'LEFT', 'RIGHT')
end
return taken
