-- Forgets a dead letter.
-- KEYS: 1 the dead letters, 2 counts of them by stage
-- ARGV: 1 dead letter, 2 its stage ('' when it is none of ours)
-- Returns 0, and does nothing, when the dead letter is gone.
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
if ARGV[2] ~= '' and redis.call('HINCRBY', KEYS[2], ARGV[2], -1) <= 0 then redis.call('HDEL', KEYS[2], ARGV[2]) end
return 1
