-- Accepts a picture: writes its status, adds it to the unfinished ones and queues its message. May be repeated.
-- KEYS: unfinished, pace, queue, content, name, status, events, outcomes, outcomes_since, minute
-- ARGV: image_id, message, most, dedupe, content_seconds, name_seconds, effects
-- content, name: the keys of the id by content and by filename; '' when not known. most: how many pictures may be
-- unfinished (0: no limit). dedupe: '1' accepts no second picture of the same content.
-- Returns the image id, also when the picture was accepted before; with dedupe the id of the picture of the same content;
-- nil when the line is full.
if redis.call('EXISTS', key.status) == 1 then return arg.image_id end
if arg.dedupe == '1' and key.content ~= '' then
  local duplicate = redis.call('GET', key.content)
  if duplicate then return duplicate end
end
local most = tonumber(arg.most)
if most > 0 and redis.call('ZCARD', key.unfinished) >= most then return false end
write_effects()
enter(arg.image_id)
redis.call('RPUSH', key.queue, arg.message)
if key.content ~= '' then redis.call('SET', key.content, arg.image_id, 'NX', 'EX', arg.content_seconds) end
if key.name ~= '' then redis.call('SET', key.name, arg.image_id, 'EX', arg.name_seconds) end
return arg.image_id
