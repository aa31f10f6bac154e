-- Takes a token out of the bucket KEYS[1], which gets ARGV[1] tokens a second and holds ARGV[2].
-- Returns 0, or in how many microseconds there will be one.
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

-- Without a key the bucket is full: keys go once theirs is.
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1]) or burst
local since = math.max(now - (tonumber(bucket[2]) or now), 0) -- a clock may have been set back
tokens = math.min(tokens + since * rate / 1000000, burst)

if tokens < 1 then
  if tonumber(bucket[2]) and now < tonumber(bucket[2]) then -- or nobody would get any until the clock is there again
    redis.call('HSET', KEYS[1], 'at', string.format('%.0f', now))
  end

  return math.ceil((1 - tokens) / rate * 1000000)
end

tokens = tokens - 1
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((burst - tokens) / rate * 1000)))
return 0
