-- Add the alerts of one partition's hop to the stream, unless they are there already.
--
-- KEYS  stream, hash partition -> last hop told
-- ARGV  partition, hop in ms, entries kept, then for every alert: id, hashtag, state, reason, json
local told = redis.call('HGET', KEYS[2], ARGV[1])
if told and tonumber(told) >= tonumber(ARGV[2]) then
  return 0
end
for i = 4, #ARGV, 5 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[i], 'hashtag', ARGV[i + 1],
    'state', ARGV[i + 2], 'reason', ARGV[i + 3], 'json', ARGV[i + 4])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
