-- SPDX-License-Identifier: Apache-2.0
-- Takes up to n permits of a sliding window and returns {granted, milliseconds
-- until there is one}; the latter is 0 if one was granted.
--
-- The window is a ring of counters in one string, so that its size is bounded and
-- writing a counter is a few bytes for replicas and files too:
--
--   6 bytes  number of the slice that was written last (Unix time / slice)
--   4 bytes  sum of all counters
--   4 bytes  for each slot, the count of the slice with number % slots = slot
--
-- Numbers are big-endian. A refusal writes nothing.
local limit, n, slots, slice = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if n == 0 then
  return {0, 0}
end
local head, width = 10, 4
local size = head + slots * width
local byte, char, floor = string.byte, string.char, math.floor

local function get(s, at)
  local a, b, c, d = byte(s, at + 1, at + 4)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

local function put(v)
  return char(floor(v / 16777216) % 256, floor(v / 65536) % 256, floor(v / 256) % 256, v % 256)
end

local time = redis.call('TIME')
local ms = time[1] * 1000 + floor(time[2] / 1000)
local now = floor(ms / slice)

local ring = redis.call('GET', KEYS[1])
local last, total = now, 0
local fresh = not ring or #ring ~= size
if not fresh then
  last, total = get(ring, 0) * 65536 + byte(ring, 5) * 256 + byte(ring, 6), get(ring, 6)
  if last > now + slots or last + slots <= now then
    -- All is over, or of a clock that was far ahead.
    fresh, last, total = true, now, 0
  elseif last > now then
    -- The clock went back: time stands still until it has caught up.
    now, ms = last, last * slice
  end
end

-- counted returns the count of a slice that can be in the ring.
local function counted(number)
  return get(ring, head + number % slots * width)
end

-- Slices that have left the window gave their slots to those since the last one.
local stale = 0
for number = last + 1, now do
  stale = stale + counted(number)
end
total = total - stale

local granted = math.min(n, limit - total)
if granted <= 0 then
  local needed, number = total - limit + 1, now - slots
  while needed > 0 do
    number = number + 1
    if number <= last then
      needed = needed - counted(number)
    else
      needed = 0
    end
  end
  return {0, math.max(1, (number + slots) * slice - ms)}
end

local count = granted
if fresh then
  redis.call('SET', KEYS[1], string.rep('\0', size))
else
  if last == now then
    count = count + counted(now)
  end
  if stale > 0 then
    -- One range, or two if it goes around the end of the ring.
    local from, to = (last + 1) % slots, now % slots
    if from <= to then
      redis.call('SETRANGE', KEYS[1], head + from * width, string.rep('\0', (to - from + 1) * width))
    else
      redis.call('SETRANGE', KEYS[1], head + from * width, string.rep('\0', (slots - from) * width))
      redis.call('SETRANGE', KEYS[1], head, string.rep('\0', (to + 1) * width))
    end
  end
end
redis.call('SETRANGE', KEYS[1], head + now % slots * width, put(count))
redis.call('SETRANGE', KEYS[1], 0, put(floor(now / 65536)) .. char(floor(now / 256) % 256, now % 256) .. put(total + granted))
-- By the same clock as the slices, should that have gone back.
redis.call('PEXPIREAT', KEYS[1], (now + slots) * slice)
return {granted, 0}
