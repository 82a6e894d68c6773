-- redis_client.py prepends this file to every script, after the tables of the names that the script declares: `key` of
-- its KEYS, `arg` of its ARGV, `result` of its answers. A script that takes side effects (transitions.py) declares the
-- argument `effects` and the keys status, events, outcomes, outcomes_since, minute.
local EVENTS_KEPT, OUTCOMES_WHOLE, MINUTE_KEPT = 20000, 10000, 7200
local effects = (arg.effects or '') ~= '' and cmsgpack.unpack(arg.effects)

-- Whether the picture was deleted, or sent down the line again, since this message was made.
local function superseded()
  local run = redis.call('HGET', key.status, 'run')
  return run and tonumber(run) > effects.run
end

local function holds(list, message) return redis.call('LPOS', list, message) ~= false end

-- The server's time, read before the script's first write: a user without the right to TIME is refused the whole script.
local TIME = redis.call('TIME')
local function seconds() return TIME[1] + TIME[2] / 1e6 end

-- Appends an outbox event, and records since when the first of the list has been first, by the server's clock: see
-- overview.py. That time begins anew when the list was empty.
local function push_outbox_event(event)
  local first = redis.call('LLEN', key.outcomes) == 0
  redis.call('SET', key.outcomes_since, seconds(), unpack(first and {} or {'NX'}))
  redis.call('RPUSH', key.outcomes, event)
end

-- Writes the side effects of a transition: the picture's status, events, an outbox event, this minute's counts.
local function write_effects()
  if #effects.status > 0 then redis.call('HSET', key.status, unpack(effects.status)) end
  for _, event in ipairs(effects.events) do
    redis.call('XADD', key.events, 'MAXLEN', '~', EVENTS_KEPT, '*',
      'type', event[1], 'image_id', effects.image_id, 'data', event[2])
  end
  if effects.outbox_event ~= '' then
    local whole = redis.call('LLEN', key.outcomes) < OUTCOMES_WHOLE
    push_outbox_event(whole and effects.outbox_event or effects.outbox_event_short)
  end
  for name, count in pairs(effects.counts) do redis.call('HINCRBY', key.minute, name, count) end
  if next(effects.counts) then redis.call('EXPIRE', key.minute, MINUTE_KEPT) end
end

local function mean(old, sample, weight) return old and old + weight * (sample - old) or sample end

-- Adds a picture to the unfinished ones, and records how many are before it and the estimated time it takes.
-- stageline/broker/time_left.py describes the model.
local function enter(image_id)
  local ahead = redis.call('ZCARD', key.unfinished)
  local known = redis.call('HMGET', key.pace, 'gap', 'alone', 'ratio')
  redis.call('HSET', key.status, 'ahead', ahead)
  if known[1] and known[2] then
    redis.call('HSET', key.status, 'estimate', (ahead * known[1] + known[2]) * (known[3] or 1))
  end
  redis.call('ZADD', key.unfinished, seconds(), image_id)
end

-- Removes a picture from the unfinished ones, and updates the model with the time it took.
local function leave(image_id)
  local entered = redis.call('ZSCORE', key.unfinished, image_id)
  if not entered then return end
  local left, was = seconds(), redis.call('HMGET', key.status, 'ahead', 'estimate')
  local known = redis.call('HMGET', key.pace, 'last', 'gap', 'alone', 'ratio', 'busy', 'gaps')
  -- Not below 0, also when the server's clock was set back in between.
  local took, gap, alone = math.max(0, left - entered), tonumber(known[2]), tonumber(known[3])
  local ratio = tonumber(known[4]) or 1
  local gaps, others = tonumber(known[6]) or 0, redis.call('ZCARD', key.unfinished) - 1
  if known[5] == '1' then
    local sample = math.max(0, left - known[1])
    gaps = gaps + 1
    gap = mean(gap, gap and math.min(sample, 10 * gap) or sample, math.max(0.02, 1 / gaps))
  end
  if (was[1] == '0' and others == 0) or not alone then alone = mean(alone, took, 0.2) end
  local estimate = tonumber(was[2])
  if estimate and estimate > 0 then
    ratio = math.max(0.2, math.min(5, ratio * (math.max(0.01, took) / estimate) ^ 0.05))
  end
  redis.call('ZREM', key.unfinished, image_id)
  redis.call('HSET', key.pace, 'last', left, 'gap', gap or took, 'gaps', gaps, 'alone', alone, 'ratio', ratio,
    'busy', others > 0 and 1 or 0)
end

