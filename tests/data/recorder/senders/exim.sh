# exim.sh FILE plain|dkim: delivers at once, in the process that takes the message. $TLS and what the server offers decide the rest; $PORT is 25 unless set.
set -e
[ -s /tmp/dkim.pem ] || openssl genrsa -out /tmp/dkim.pem 2048 2>/dev/null
chmod 644 /tmp/dkim.pem
rm -rf /tmp/exim
mkdir /tmp/exim
chown Debian-exim /tmp/exim
[ "$2" = dkim ] && dkim='dkim_domain = sender.example
  dkim_selector = key
  dkim_private_key = /tmp/dkim.pem'
cat >/tmp/exim.conf <<C
primary_hostname = mail.sender.example
spool_directory = /tmp/exim
log_file_path = /tmp/exim/%slog
keep_environment =
disable_ipv6
begin routers
relay:
  driver = manualroute
  transport = relay
  route_list = * $SERVER
  self = send
begin transports
relay:
  driver = smtp
  port = ${PORT:-25}
  allow_localhost
  tls_verify_hosts =
  tls_try_verify_hosts =
  $dkim
C
exim4 -C /tmp/exim.conf -odf -f "$FROM" "$TO" <"$1"
[ -z "$(ls -A /tmp/exim/input)" ] || { grep -v 'lost privilege' /tmp/exim/mainlog | head -n 4; exit 1; }
