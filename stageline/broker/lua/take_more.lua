-- Takes more messages, without waiting, than the one that a worker's BLMOVE gave it.
-- KEYS: 1 the queue, 2 the worker's in-flight list
-- ARGV: 1 how many at most
-- Returns them, in the queue's order; at most half of what waits, so that a worker beside this one finds some too.
local most = math.min(tonumber(ARGV[1]), math.ceil(redis.call('LLEN', KEYS[1]) / 2))
local taken = {}
for i = 1, most do
  taken[i] = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
end
return taken
