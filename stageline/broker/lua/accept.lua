-- Accepts a picture: its status, its place among the unfinished and its message, in one step. May be repeated.
-- KEYS: unfinished, pace, queue, content, name, status, events, outcomes, outcomes_since, minute
-- ARGV: image_id, message, most, dedupe, content_seconds, name_seconds, effects
-- content, name: the id by content, and by filename; '' when that is not known. most: how many may be unfinished (0: no
-- limit). dedupe: '1': not when its content is there already.
-- Returns the image id, also when it already was accepted; another's id when that has the same content; nil when the
-- line is full.
if redis.call('EXISTS', key.status) == 1 then return arg.image_id end
if arg.dedupe == '1' and key.content ~= '' then
  local there = redis.call('GET', key.content)
  if there then return there end
end
local most = tonumber(arg.most)
if most > 0 and redis.call('ZCARD', key.unfinished) >= most then return false end
write_effects()
enter(arg.image_id)
redis.call('RPUSH', key.queue, arg.message)
if key.content ~= '' then redis.call('SET', key.content, arg.image_id, 'NX', 'EX', arg.content_seconds) end
if key.name ~= '' then redis.call('SET', key.name, arg.image_id, 'EX', arg.name_seconds) end
return arg.image_id
