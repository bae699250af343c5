-- /etc/rspamd/segmilter.lua: reads the header field that segmilter has added (segmilter-header(5)).
--
-- Only the topmost field of that name counts, and only if it names one of your hosts. No value lowers a score:
-- while segmilter is away, a field that the sender wrote comes through. The scores are in local.d/groups.conf.

-- Your mail servers, by general.hostname of their segmilter.toml.
local hosts = { ['mx1.example.org'] = true, ['mx2.example.org'] = true }

local bots = { ['bot-template'] = true, ['bot-headers-apart'] = true }
local max_size = 4096 -- bytes of a field; segmilter's own are shorter than 1000
local max_score = 4.0 -- segmilter's score counts up to this
local suspicious = 2.0 -- from this score on, other patterns count as well
local min_confidence = 0.9 -- below this a label counts for nothing

-- The value of `text` if it is a number as segmilter prints it. tonumber() alone would also read nan, inf and 0x10.
local function number(text, form)
  return text and text:match(form) and tonumber(text)
end

-- "host; key=value; key=value; v=1": returns the host and a table of the values, or nil if it has another form.
local function parse(text)
  if #text > max_size then return nil end
  local line = text:gsub('%s+', ' ')
  if line:find('[^ -~]') then return nil end -- segmilter writes visible ASCII only
  local host, items = line:match('^ ?([^; ]+); ?(.*)$')
  if not host then return nil end
  local values, last = {}, nil
  for item in (items .. ';'):gmatch('([^;]*);') do
    local key, value = item:match('^ ?([%a%-]+)=(.+)$')
    if not key or values[key] then return nil end
    values[key] = value:gsub(' ', '') -- a long list is folded after its commas
    last = key
  end
  if last ~= 'v' or values.v ~= '1' then return nil end
  return host, values
end

local function check(task)
  if task:get_user() then return end -- segmilter does not judge users who have logged in
  local fields = task:get_header_full('X-Protocol-Pattern')
  if not fields then
    task:insert_result('SEGMILTER_ABSENT', 1.0)
    return
  end
  local host, own = parse(fields[1].value)
  if not host or not hosts[host] or not own.pattern then return end
  local score = number(own.score, '^%-?%d%d?%.%d$')
  local confidence = number(own.confidence, '^[01]%.%d%d$')
  if not score or not confidence then return end
  if own.pattern == 'unobserved' then
    task:insert_result('SEGMILTER_UNOBSERVED', 1.0, own.reason or 'no reason')
    return
  end
  local sure = confidence >= min_confidence and confidence <= 1
  local weight = math.min(score, max_score)
  if sure and score > 0 and bots[own.pattern] then
    task:insert_result('SEGMILTER_BOT', weight, own.pattern, own.score)
  elseif sure and score >= suspicious then
    task:insert_result('SEGMILTER_SUSPICIOUS', weight, own.pattern, own.score)
  else
    task:insert_result('SEGMILTER_OTHER', 1.0, own.pattern, own.gait)
  end
end

local id = rspamd_config:register_symbol { name = 'SEGMILTER_CHECK', type = 'callback', callback = check }
for _, name in ipairs { 'BOT', 'SUSPICIOUS', 'OTHER', 'UNOBSERVED', 'ABSENT' } do
  rspamd_config:register_symbol { name = 'SEGMILTER_' .. name, type = 'virtual', parent = id }
end
