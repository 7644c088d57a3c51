-- Add the alerts of one partition's hop to the stream, unless they are there already.
--
-- KEYS  stream, hash partition -> last hop told
-- ARGV  partition, hop in ms, entries kept, last hop told as far as the caller knows or '',
--       then for every alert: id, hashtag, state, reason, json
-- gives {1, last hop told}, or {0, last hop told or ''} if that is another one, and nothing is added
local told = redis.call('HGET', KEYS[2], ARGV[1])
if told and tonumber(told) >= tonumber(ARGV[2]) then
  return {1, told}
end
if (told or '') ~= ARGV[4] then
  return {0, told or ''}
end
for i = 5, #ARGV, 5 do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'id', ARGV[i], 'hashtag', ARGV[i + 1],
    'state', ARGV[i + 2], 'reason', ARGV[i + 3], 'json', ARGV[i + 4])
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return {1, ARGV[2]}
