-- Drop buckets and strings of one hashtag, if the caller was the last to write.
--
-- KEYS  mark, tags, the key of strings, then the keys of rows
-- ARGV  writer, the writer from here on, msgpack list of fingerprints, then the index member of every key of rows
-- gives {1}, or {0, stored writer or ''} and nothing is changed
local writer = redis.call('HGET', KEYS[1], 'writer')
if writer == ARGV[2] then
  return {1} -- done before; only its answer was lost on the way
end
if writer ~= ARGV[1] then
  return {0, writer or ''}
end
redis.call('HSET', KEYS[1], 'writer', ARGV[2])
local forgotten = cmsgpack.unpack(ARGV[3])
for from = 1, #forgotten, 2000 do
  redis.call('HDEL', KEYS[3], unpack(forgotten, from, math.min(from + 1999, #forgotten)))
end
for i = 4, #KEYS do
  redis.call('UNLINK', KEYS[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
end
return {1}
