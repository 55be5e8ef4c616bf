-- SPDX-License-Identifier: MIT
-- A few lines of test harness: test("what holds", function() ... end), then check.done().
local check = { failed = 0, passed = 0 }

function check.test(name, f)
  local ok, message = xpcall(f, debug.traceback)
  if ok then
    check.passed = check.passed + 1
  else
    check.failed = check.failed + 1
    io.stderr:write("FAILED: ", name, "\n  ", tostring(message), "\n")
  end
end

local function show(v)
  if type(v) == "number" then return string.format("%.17g", v) end
  if type(v) ~= "table" then return type(v) == "string" and string.format("%q", v) or tostring(v) end
  local out = {}
  for i = 1, math.min(#v, 40) do out[i] = show(v[i]) end
  return "{" .. table.concat(out, ", ") .. "}"
end

function check.same(found, expected)
  if show(found) ~= show(expected) or (type(found) == "table" and #found ~= #expected) then
    error("expected " .. show(expected) .. ", found " .. show(found), 2)
  end
end

--- nil, message, code: with this code, and the message holds the pattern.
function check.fails(code, pattern, value, message, found)
  if value ~= nil then error("expected a failure, found " .. show(value), 2) end
  if found ~= code then error("expected code " .. code .. ", found " .. show(found) .. ": " .. show(message), 2) end
  if not tostring(message):find(pattern) then
    error("expected a message with '" .. pattern .. "', found " .. show(message), 2)
  end
end

--- f raises a message that holds the pattern.
function check.raises(pattern, f, ...)
  local ok, message = pcall(f, ...)
  if ok then error("expected an error with '" .. pattern .. "'", 2) end
  if not tostring(message):find(pattern) then
    error("expected an error with '" .. pattern .. "', found " .. tostring(message), 2)
  end
end

function check.done()
  print(check.passed .. " passed, " .. check.failed .. " failed")
  os.exit(check.failed == 0 and check.passed > 0 and 0 or 1)
end

return check
