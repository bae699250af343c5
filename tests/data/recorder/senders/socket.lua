local smtp, ltn12 = require 'socket.smtp', require 'ltn12'
local function part(name) local file = io.open(os.getenv 'M' .. '.' .. name, 'rb'); local text = file:read '*a'; file:close(); return text end
local done, problem = smtp.send {
  from = '<' .. os.getenv 'FROM' .. '>', rcpt = '<' .. os.getenv 'TO' .. '>', server = os.getenv 'SERVER', port = 25, domain = 'mail.sender.example',
  source = smtp.message { headers = { from = os.getenv 'FROM', to = os.getenv 'TO', subject = part 'subject' }, body = part 'body' },
}
if not done then print(problem); os.exit(1) end
