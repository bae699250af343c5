set -e
python3 "$S/pop3.py" "$M.crlf" &
sleep 0.5
printf 'poll 127.0.0.1 protocol pop3 port 1110 auth password user x password y is bob here smtphost %s smtpname %s sslproto "" forcecr fetchall\n' \
  "$SERVER" "$TO" >/tmp/fetchmailrc
chmod 600 /tmp/fetchmailrc
fetchmail -s -f /tmp/fetchmailrc --nodetach --pidfile /tmp/fetchmail.pid
