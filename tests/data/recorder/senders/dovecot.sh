# Starts Dovecot's submission service on 127.0.0.1:587, relaying to the server.
set -e
cat >/tmp/dovecot.conf <<C
protocols = submission
base_dir = /run/dovecot
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
hostname = mail.sender.example
submission_relay_host = $SERVER
submission_relay_port = 25
submission_relay_trusted = no
submission_relay_ssl = $([ "$TLS" = yes ] && echo starttls || echo no)
submission_relay_ssl_verify = no
mail_location = maildir:/tmp/dovecot-mail
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=65534 gid=65534 home=/tmp/dovecot-mail
}
log_path = /tmp/dovecot.log
C
mkdir -p /run/dovecot
dovecot -c /tmp/dovecot.conf
for _ in $(seq 50); do
  (: <>/dev/tcp/127.0.0.1/587) 2>/dev/null && exit 0
  sleep 0.2
done
tail -5 /tmp/dovecot.log
exit 1
