-- Drop buckets and strings of some hashtags, if the caller was the last to write.
--
-- KEYS  mark, tags, then for every hashtag the key of its strings and the keys of its rows
-- ARGV  writer, the writer from here on, then for every hashtag a msgpack list of fingerprints and one of the
--       index members of its keys of rows
-- gives {1}, or {0, stored writer or ''} and nothing is changed
local writer = redis.call('HGET', KEYS[1], 'writer')
if writer == ARGV[2] then
  return {1} -- done before; only its answer was lost on the way
end
if writer ~= ARGV[1] then
  return {0, writer or ''}
end
redis.call('HSET', KEYS[1], 'writer', ARGV[2])
local at = 3
for i = 3, #ARGV, 2 do
  local forgotten, members = cmsgpack.unpack(ARGV[i]), cmsgpack.unpack(ARGV[i + 1])
  for from = 1, #forgotten, 2000 do
    redis.call('HDEL', KEYS[at], unpack(forgotten, from, math.min(from + 1999, #forgotten)))
  end
  for j, member in ipairs(members) do
    redis.call('UNLINK', KEYS[at + j])
    redis.call('ZREM', KEYS[2], member)
  end
  at = at + 1 + #members
end
return {1}
