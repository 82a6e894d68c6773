-- Sends a dead letter down the line again, as its picture's next run.
-- KEYS: 1 the dead letters, 2 counts of them by stage, 3 the queue, 4 sorted set of unfinished ids, 5 the pace; the notes'
-- ARGV: 1 dead letter, 2 its stage, 3 message to queue, 4 image id, 5… notes
-- Returns 0 when the dead letter is gone, or its picture was sent again, or deleted, by other means.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if redis.call('HINCRBY', KEYS[2], ARGV[2], -1) <= 0 then redis.call('HDEL', KEYS[2], ARGV[2]) end
local status = KEYS[#KEYS - 4]
local run = redis.call('HGET', status, 'run')
if run and tonumber(run) >= tonumber(ARGV[5]) then return 0 end
redis.call('HDEL', status, 'reason', 'stage:' .. ARGV[2])
note(5)
redis.call('PERSIST', status)
enter(KEYS[4], KEYS[5], ARGV[4])
redis.call('RPUSH', KEYS[3], ARGV[3])
return 1
