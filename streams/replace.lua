-- Put new contents in the place of a hash or sorted set; nobody sees it half done.
--
-- KEYS  the key
-- ARGV  HSET or ZADD, expiry in s, msgpack list of its arguments
redis.call('DEL', KEYS[1])
local contents = cmsgpack.unpack(ARGV[3])
-- Lua holds a few thousand values on its stack at the most.
for from = 1, #contents, 2000 do
  redis.call(ARGV[1], KEYS[1], unpack(contents, from, math.min(from + 1999, #contents)))
end
if #contents > 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
