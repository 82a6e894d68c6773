-- Accepts a picture: its status, its place among the unfinished and its message, in one step. May be repeated.
-- KEYS: 1 sorted set of unfinished ids, 2 the first queue, 3 id by content ('' when that is not known), 4 id by filename
--       ('': has none), 5 the pace; the notes'
-- ARGV: 1 image id, 2 message, 3 most unfinished allowed (0: no limit), 4 '1': not when its content is there already,
--       5 seconds to remember content, 6 seconds to remember the filename, 7… notes
-- Returns the image id, also when it already was accepted; another's id when that has the same content; nil when the
-- line is full.
if redis.call('EXISTS', KEYS[#KEYS - 4]) == 1 then return ARGV[1] end
if ARGV[4] == '1' and KEYS[3] ~= '' then
  local there = redis.call('GET', KEYS[3])
  if there then return there end
end
local most = tonumber(ARGV[3])
if most > 0 and redis.call('ZCARD', KEYS[1]) >= most then return false end
note(7)
enter(KEYS[1], KEYS[5], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[2])
if KEYS[3] ~= '' then redis.call('SET', KEYS[3], ARGV[1], 'NX', 'EX', ARGV[5]) end
if KEYS[4] ~= '' then redis.call('SET', KEYS[4], ARGV[1], 'EX', ARGV[6]) end
return ARGV[1]
