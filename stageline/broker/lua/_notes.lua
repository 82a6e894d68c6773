-- Stands before every script; see stageline/broker/side_effects.py. The last five KEYS are the notes': the picture's status hash,
-- the stream of events, the list of outcomes, since when its first stands there, the hash of this minute's counts.
local EVENTS_KEPT, OUTCOMES_WHOLE, MINUTE_KEPT = 20000, 10000, 7200

-- Whether a picture was deleted, or sent down the line again, since this message was made.
-- ARGV: first the message's run
local function superseded(first)
  local run = redis.call('HGET', KEYS[#KEYS - 4], 'run')
  return run and tonumber(run) > tonumber(ARGV[first])
end

local function holds(list, message) return redis.call('LPOS', list, message) ~= false end

-- The server's time, asked for before a script's first write: a user who may not ask it is refused the whole script.
local TIME = redis.call('TIME')
local function seconds() return TIME[1] + TIME[2] / 1e6 end

-- Puts an outcome on the list, and notes since when its first stands there, by the server's clock: see overview.py.
-- A list that was emptied by hand begins anew.
local function tell_catalogue(outcomes, since, outcome)
  local first = redis.call('LLEN', outcomes) == 0
  redis.call('SET', since, seconds(), unpack(first and {} or {'NX'}))
  redis.call('RPUSH', outcomes, outcome)
end

-- Notes what a step did.
-- ARGV: first the run; 1 image id, 2 how many status fields, … field, value, …; then how many events, … type, data, …;
--       then outcome ('': none), the same in short; then counter, number, … to the end
local function note(first)
  local status, events, outcomes, since, minute = unpack(KEYS, #KEYS - 4)
  local at = first + 3 + 2 * tonumber(ARGV[first + 2])
  if at > first + 3 then redis.call('HSET', status, unpack(ARGV, first + 3, at - 1)) end
  for _ = 1, tonumber(ARGV[at]) do
    redis.call('XADD', events, 'MAXLEN', '~', EVENTS_KEPT, '*',
      'type', ARGV[at + 1], 'image_id', ARGV[first + 1], 'data', ARGV[at + 2])
    at = at + 2
  end
  if ARGV[at + 1] ~= '' then
    local whole = redis.call('LLEN', outcomes) < OUTCOMES_WHOLE
    tell_catalogue(outcomes, since, whole and ARGV[at + 1] or ARGV[at + 2])
  end
  for i = at + 3, #ARGV, 2 do redis.call('HINCRBY', minute, ARGV[i], ARGV[i + 1]) end
  if at + 3 < #ARGV then redis.call('EXPIRE', minute, MINUTE_KEPT) end
end

local function mean(old, sample, weight) return old and old + weight * (sample - old) or sample end

-- Puts a picture in line with those that are unfinished, and notes how many are before it, and the time it may take.
-- The model and what it learns: see stageline/broker/time_left.py.
local function enter(unfinished, pace, image_id)
  local status, ahead = KEYS[#KEYS - 4], redis.call('ZCARD', unfinished)
  local known = redis.call('HMGET', pace, 'gap', 'alone', 'ratio')
  redis.call('HSET', status, 'ahead', ahead)
  if known[1] and known[2] then
    redis.call('HSET', status, 'estimate', (ahead * known[1] + known[2]) * (known[3] or 1))
  end
  redis.call('ZADD', unfinished, seconds(), image_id)
end

-- Takes a picture out from among the unfinished, and learns from how long it took.
local function leave(unfinished, pace, image_id)
  local entered = redis.call('ZSCORE', unfinished, image_id)
  if not entered then return end
  local left, was = seconds(), redis.call('HMGET', KEYS[#KEYS - 4], 'ahead', 'estimate')
  local known = redis.call('HMGET', pace, 'last', 'gap', 'alone', 'ratio', 'busy', 'gaps')
  -- Never below 0, also where the server's clock was set back in between.
  local took, gap, alone = math.max(0, left - entered), tonumber(known[2]), tonumber(known[3])
  local ratio = tonumber(known[4]) or 1
  local gaps, others = tonumber(known[6]) or 0, redis.call('ZCARD', unfinished) - 1
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
  redis.call('ZREM', unfinished, image_id)
  redis.call('HSET', pace, 'last', left, 'gap', gap or took, 'gaps', gaps, 'alone', alone, 'ratio', ratio,
    'busy', others > 0 and 1 or 0)
end

