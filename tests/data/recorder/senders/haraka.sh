# Starts Haraka on 127.0.0.1:2525: haraka.sh FOLDER forward|outbound. outbound: through its queue.
set -e
at=$(mktemp -d)
mkdir -p "$at/config" "$at/plugins" "$at/queue"
cd "$at/config"
echo mail.sender.example >me
echo LOGERROR >loglevel
printf 'listen=127.0.0.1:2525\nnodes=0\n' >smtp.ini
printf '[relay]\nacl=true\n' >relay.ini
[ ! -f "$1/config/connection.ini" ] || cp "$1/config/connection.ini" . # newer versions do not start without
echo 127.0.0.1/32 >relay_acl_allow
printf '[outbound]\nrejectUnauthorized=false\n' >tls.ini
printf 'enable_tls=%s\n' "${TLS/yes/true}" >outbound.ini
if [ "$2" = forward ]; then
  printf 'relay\nqueue/smtp_forward\n' >plugins
  printf 'host=%s\nport=25\nenable_outbound=true\nenable_tls=%s\n' "$SERVER" "${TLS/yes/true}" >smtp_forward.ini
else
  printf 'relay\nto_server\n' >plugins
  # There is no name service that could know a mail exchanger.
  printf 'exports.hook_get_mx = (next, hmail, domain) => next(OK, "%s");\n' "$SERVER" >"$at/plugins/to_server.js"
fi
setsid node "$1/bin/haraka" -c "$at" >/tmp/haraka.log 2>&1 </dev/null &
for _ in $(seq 100); do
  (: <>/dev/tcp/127.0.0.1/2525) 2>/dev/null && exit 0
  sleep 0.2
done
tail -5 /tmp/haraka.log
exit 1
