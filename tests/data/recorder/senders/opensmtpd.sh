# Starts OpenSMTPD on 127.0.0.1:2525.
set -e
cat >/tmp/smtpd.conf <<C
mta limit conn-delay-host 0 conn-delay-source 0 conn-delay-connector 0 conn-delay-relay 0 conn-delay-domain 0
mta limit reconn-delay-route 0 session-transaction-delay 0
listen on 127.0.0.1 port 2525 hostname mail.sender.example
action out relay host smtp+$([ "$TLS" = yes ] && echo tls || echo notls)://$SERVER $([ "$TLS" = yes ] && echo tls no-verify) helo mail.sender.example
match from any for any action out
C
setsid smtpd -d -f /tmp/smtpd.conf >/tmp/smtpd.log 2>&1 </dev/null &
for _ in $(seq 50); do
  (: <>/dev/tcp/127.0.0.1/2525) 2>/dev/null && exit 0
  sleep 0.2
done
tail -5 /tmp/smtpd.log
exit 1
