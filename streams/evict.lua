-- Drop buckets and strings of one hashtag, if the caller is the writer.
--
-- KEYS  mark, tags, the key of strings, then the keys of rows
-- ARGV  writer, msgpack list of fingerprints, then the index member of every key of rows
-- gives {1}, or {0, stored writer or ''} and nothing is changed
local writer = redis.call('HGET', KEYS[1], 'writer')
if writer ~= ARGV[1] then
  return {0, writer or ''}
end
local forgotten = cmsgpack.unpack(ARGV[2])
for from = 1, #forgotten, 2000 do
  redis.call('HDEL', KEYS[3], unpack(forgotten, from, math.min(from + 1999, #forgotten)))
end
for i = 4, #KEYS do
  redis.call('UNLINK', KEYS[i])
  redis.call('ZREM', KEYS[2], ARGV[i - 1])
end
return {1}
