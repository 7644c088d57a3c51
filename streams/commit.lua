-- Store one packet, if it continues what is stored and the caller was the last to write.
--
-- KEYS  mark, clock, tags, late, then r keys of rows, then the keys of strings
-- ARGV  writer, the writer from here on, source, expected mark or '', new mark, clock, expiry in s, r,
--       next offset of rows or '', msgpack list of late hashtags (hashtag, hop, …),
--       then for every key of rows: index member, bucket, APPEND or SET, rows (with SET all, their limit before
--       them); for every key of strings: msgpack lists k, v, k, v… and k, k… of those that go
-- gives {1}, or {0, stored mark or '', stored writer or ''} and nothing is changed
local held = redis.call('HMGET', KEYS[1], ARGV[3], 'writer')
if held[2] == ARGV[2] then
  return {1} -- done before; only its answer was lost on the way
end
if (held[1] or '') ~= ARGV[4] or held[2] ~= ARGV[1] then
  return {0, held[1] or '', held[2] or ''}
end
redis.call('HSET', KEYS[1], ARGV[3], ARGV[5], 'writer', ARGV[2])
if ARGV[9] ~= '' then
  redis.call('HSET', KEYS[1], 'next', ARGV[9])
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[6])
local late = cmsgpack.unpack(ARGV[10])
for i = 1, #late, 2 do
  redis.call('ZADD', KEYS[4], late[i + 1], late[i])
end
local expiry, rows = ARGV[7], tonumber(ARGV[8])
for i = 1, rows do
  local at = 10 + 4 * (i - 1)
  redis.call('ZADD', KEYS[3], ARGV[at + 2], ARGV[at + 1])
  redis.call(ARGV[at + 3], KEYS[4 + i], ARGV[at + 4])
  redis.call('EXPIRE', KEYS[4 + i], expiry)
end
local first = 10 + 4 * rows
for i = 1, #KEYS - 4 - rows do
  local key, strings = KEYS[4 + rows + i], cmsgpack.unpack(ARGV[first + 2 * i - 1])
  local gone = cmsgpack.unpack(ARGV[first + 2 * i])
  -- Lua holds a few thousand values on its stack at the most.
  for from = 1, #strings, 2000 do
    redis.call('HSET', key, unpack(strings, from, math.min(from + 1999, #strings)))
  end
  for from = 1, #gone, 2000 do
    redis.call('HDEL', key, unpack(gone, from, math.min(from + 1999, #gone)))
  end
  redis.call('EXPIRE', key, expiry)
end
return {1}
