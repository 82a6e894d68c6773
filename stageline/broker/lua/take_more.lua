-- Takes more messages, without waiting, than the one that a worker's BLMOVE gave it.
-- KEYS: queue, in_flight
-- ARGV: most
-- Returns at most so many, in the queue's order; at most half of what waits, so that a worker beside this one finds some.
local most = math.min(tonumber(arg.most), math.ceil(redis.call('LLEN', key.queue) / 2))
local taken = {}
for i = 1, most do
  taken[i] = redis.call('LMOVE', key.queue, key.in_flight, 'LEFT', 'RIGHT')
end
return taken
