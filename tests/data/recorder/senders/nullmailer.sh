# nullmailer.sh start|send
set -e
spool=/var/spool/nullmailer
if [ "$1" = start ]; then
  mkdir -p $spool/tmp $spool/queue $spool/failed
  rm -f $spool/trigger
  mkfifo $spool/trigger
  chown -R mail:mail $spool
  echo mail.sender.example | tee /etc/nullmailer/me >/etc/nullmailer/helohost
  echo "$SERVER smtp" >/etc/nullmailer/remotes
  setsid setpriv --reuid mail --regid mail --clear-groups nullmailer-send >/tmp/nullmailer.log 2>&1 </dev/null &
  sleep 1
else
  nullmailer-inject -f "$FROM" "$TO" <"$M.lf"
fi
