-- Drops a dead letter.
-- KEYS: dead_letters, dead_counts
-- ARGV: dead_letter, stage
-- stage: '' when no worker wrote the dead letter.
-- Returns 0, and does nothing, when the dead letter is gone.
if redis.call('LREM', key.dead_letters, 1, arg.dead_letter) == 0 then return 0 end
if arg.stage ~= '' and redis.call('HINCRBY', key.dead_counts, arg.stage, -1) <= 0 then
  redis.call('HDEL', key.dead_counts, arg.stage)
end
return 1
