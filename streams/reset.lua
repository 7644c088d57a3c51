-- Forget a partition whose rows are deleted already, if the caller was the last to write.
--
-- KEYS  mark, then the other keys to delete
-- ARGV  writer, the writer from here on, event time in ms from which posts are complete or ''
-- gives {1}, or {0, stored writer or ''} and nothing is changed
local writer = redis.call('HGET', KEYS[1], 'writer')
if writer == ARGV[2] then
  return {1} -- done before; only its answer was lost on the way
end
if writer ~= ARGV[1] then
  return {0, writer or ''}
end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'writer', ARGV[2])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'covered', ARGV[3])
end
return {1}
