-- Limits that all nodes count together: GCRA (ITU-T I.371), as `tollgate_core::limits` has it.
--
-- Several requests in one call, one after the other; of each request all limits are taken or none. Time is
-- this server's own, so that no clock of a node matters. Microseconds since 2026, with fractions: so a double
-- keeps them to a thousandth for decades.
--
-- ARGV: requests, and for each: limits, and for each of these: interval in ns, burst, amount (0 only asks).
-- KEYS: one for each limit. Answer, for each request: which limit refused (0: none), after how many us it is
-- worth trying again (-1: never), and for each limit: how many are left, after how many us all are.
local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1767225600) * 1000000 + tonumber(time[2])
local answer, argument, place = {}, 2, 1
for _ = 1, tonumber(ARGV[1]) do
  local limits = tonumber(ARGV[argument])
  argument = argument + 1
  local refused, retry, found = 0, 0, {}
  for limit = 1, limits do
    local interval = tonumber(ARGV[argument]) / 1000
    local burst, amount = tonumber(ARGV[argument + 1]), tonumber(ARGV[argument + 2])
    argument = argument + 3
    local key = KEYS[place]
    place = place + 1
    local full = now + interval * burst
    -- After a step back of this clock, or an edit of the limit, no more is owed than the whole burst.
    local before = math.min(math.max(tonumber(redis.call('GET', key) or now), now), full)
    local asked = math.max(amount, 1)
    local after = before + interval * asked
    -- A thousandth of a microsecond is what the fractions are good for.
    if refused == 0 and after > full + 0.001 then
      refused = limit
      retry = asked > burst and -1 or math.ceil(after - full)
    end
    found[limit] = { key, before, after, interval, full, amount }
  end
  answer[#answer + 1] = refused
  answer[#answer + 1] = retry
  for limit = 1, limits do
    local key, before, after, interval, full, amount = unpack(found[limit])
    local stands = before
    if refused == 0 and amount > 0 then
      stands = after
      redis.call('SET', key, string.format('%.3f', after), 'PX', math.ceil((after - now) / 1000) + 1)
    end
    answer[#answer + 1] = math.floor((full - stands) / interval + 0.001)
    answer[#answer + 1] = math.ceil(stands - now)
  end
end
return answer
