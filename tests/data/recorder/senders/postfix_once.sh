# A separate Postfix sends one message to $SERVER, port $PORT, and ends.
set -e
bash "$S/postfix.sh"
python3 "$S/feed.py" 2525
for _ in $(seq 100); do
  sleep 0.2
  [ -n "$(find /tmp/postfix/queue/incoming /tmp/postfix/queue/active /tmp/postfix/queue/deferred -type f)" ] || break
done
tail -2 /tmp/postfix/log
postfix -c /tmp/postfix/conf abort >/dev/null 2>&1
