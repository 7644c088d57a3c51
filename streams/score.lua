-- Show the scores of one partition's hop, unless those of a later one are shown.
--
-- KEYS  sorted set of hashtags, hash partition -> hop of its scores
-- ARGV  partition, hop in ms, msgpack lists: scores (score, hashtag, …), hashtags to take out
local shown = redis.call('HGET', KEYS[2], ARGV[1])
if shown and tonumber(shown) > tonumber(ARGV[2]) then
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local scores, gone = cmsgpack.unpack(ARGV[3]), cmsgpack.unpack(ARGV[4])
for from = 1, #scores, 2000 do
  redis.call('ZADD', KEYS[1], unpack(scores, from, math.min(from + 1999, #scores)))
end
for from = 1, #gone, 2000 do
  redis.call('ZREM', KEYS[1], unpack(gone, from, math.min(from + 1999, #gone)))
end
return 1
