-- Put new contents in the place of what readers see, unless those are of a later hop; nobody sees it half done.
--
-- KEYS  the key, the key that holds the hop of its contents
-- ARGV  HSET, ZADD or SET, expiry in s, hop in ms, contents: msgpack list of arguments, or the value to SET
local shown = redis.call('GET', KEYS[2])
if shown and tonumber(shown) > tonumber(ARGV[3]) then
  return 0
end
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[2])
if ARGV[1] == 'SET' then
  redis.call('SET', KEYS[1], ARGV[4], 'EX', ARGV[2])
  return 1
end
redis.call('DEL', KEYS[1])
local contents = cmsgpack.unpack(ARGV[4])
-- Lua holds a few thousand values on its stack at the most.
for from = 1, #contents, 2000 do
  redis.call(ARGV[1], KEYS[1], unpack(contents, from, math.min(from + 1999, #contents)))
end
if #contents > 0 then
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
