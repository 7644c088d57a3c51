-- Forget a partition whose rows are deleted already, if the caller is the writer.
--
-- KEYS  mark, then the other keys to delete
-- ARGV  writer, event time in ms from which posts are complete or ''
-- gives {1}, or {0, stored writer or ''} and nothing is changed
local writer = redis.call('HGET', KEYS[1], 'writer')
if writer ~= ARGV[1] then
  return {0, writer or ''}
end
redis.call('DEL', unpack(KEYS))
redis.call('HSET', KEYS[1], 'writer', ARGV[1])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'covered', ARGV[2])
end
return {1}
