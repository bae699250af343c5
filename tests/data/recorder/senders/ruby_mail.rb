# ruby_mail.rb raw|mail: net/smtp with the message as it is, or the mail gem's own.
require 'net/smtp'
server, from, to, m = ENV.values_at('SERVER', 'FROM', 'TO', 'M')
part = ->(name) { File.binread("#{m}.#{name}") }
if ARGV[0] == 'mail'
  require 'mail'
  mail = Mail.new(from: from, to: to, subject: part['subject'])
  if part['html'].empty?
    mail.body = part['text']
  else
    mail.text_part = Mail::Part.new { body File.read("#{m}.text") }
    mail.html_part = Mail::Part.new { content_type 'text/html; charset=UTF-8'; body File.read("#{m}.html") }
  end
  mail.add_file("#{m}.bin") unless part['bin'].empty?
  mail.delivery_method :smtp, address: server, port: 25, domain: 'mail.sender.example', enable_starttls_auto: false
  mail.deliver!
else
  smtp = Net::SMTP.new(server, 25)
  smtp.disable_starttls
  smtp.start('mail.sender.example') { |session| session.send_message(part['lf'], from, to) }
end
