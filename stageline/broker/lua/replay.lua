-- Sends a dead letter down the line again, as its picture's next run.
-- KEYS: dead_letters, dead_counts, unfinished, pace, queue, status, events, outcomes, outcomes_since, minute
-- ARGV: dead_letter, stage, message, image_id, effects
-- Returns 1; or 0 when the dead letter was gone, or its picture was already sent again or deleted.
if redis.call('LREM', key.dead_letters, 1, arg.dead_letter) == 0 then return 0 end
if redis.call('HINCRBY', key.dead_counts, arg.stage, -1) <= 0 then redis.call('HDEL', key.dead_counts, arg.stage) end
local run = redis.call('HGET', key.status, 'run')
if run and tonumber(run) >= effects.run then return 0 end
redis.call('HDEL', key.status, 'reason', 'stage:' .. arg.stage)
write_effects()
redis.call('PERSIST', key.status)
enter(arg.image_id)
redis.call('RPUSH', key.queue, arg.message)
return 1
