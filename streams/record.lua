-- Store what one hop decided, if the caller was the last to write and no later hop is stored.
--
-- KEYS  mark, hop, open, scored, late
-- ARGV  writer, the writer from here on, hop in ms, oldest hop in ms whose scores are still shown, then
--       msgpack lists: open alerts (hashtag, json, …), hashtags without one, hashtags with a score, those without
-- gives {1}, or {0, stored hop or '', stored writer or ''} and nothing is changed
local writer, hop = redis.call('HGET', KEYS[1], 'writer'), redis.call('GET', KEYS[2])
if writer == ARGV[2] then
  return {1} -- done before; only its answer was lost on the way
end
if writer ~= ARGV[1] or (hop and tonumber(hop) > tonumber(ARGV[3])) then
  return {0, hop or '', writer or ''}
end
redis.call('HSET', KEYS[1], 'writer', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3])
local open = cmsgpack.unpack(ARGV[5])
for i = 1, #open, 2 do
  redis.call('HSET', KEYS[3], open[i], open[i + 1])
end
for _, tag in ipairs(cmsgpack.unpack(ARGV[6])) do
  redis.call('HDEL', KEYS[3], tag)
end
for _, tag in ipairs(cmsgpack.unpack(ARGV[7])) do
  redis.call('ZADD', KEYS[4], ARGV[3], tag)
end
for _, tag in ipairs(cmsgpack.unpack(ARGV[8])) do
  redis.call('ZREM', KEYS[4], tag)
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(' .. ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', ARGV[3])
return {1}
