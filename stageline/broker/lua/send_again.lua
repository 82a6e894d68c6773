-- Sends a picture down the line again, as its next run.
-- KEYS: 1 sorted set of unfinished ids, 2 the queue, 3 the pace; the notes'
-- ARGV: 1 image id, 2 message, 3 most unfinished allowed, 4 the run that it had, 5… notes
-- Returns 'sent'; 'moving' while it is on its way; 'changed' when another sent it, or deleted it, meanwhile; 'full'.
local status = KEYS[#KEYS - 4]
local known = redis.call('HMGET', status, 'run', 'status')
if known[2] == 'submitted' or known[2] == 'processing' or redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return 'moving'
end
if known[1] and tonumber(known[1]) ~= tonumber(ARGV[4]) then return 'changed' end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('DEL', status)
note(5)
enter(KEYS[1], KEYS[3], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[2])
return 'sent'
