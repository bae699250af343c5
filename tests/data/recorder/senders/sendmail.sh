# Sendmail delivers at once, in the process that takes the message.
set -e
at=/tmp/sendmail
if [ ! -f $at/cf ]; then
  mkdir -p $at/queue
  echo "hosts files" >$at/switch
  cat >$at/mc <<C
VERSIONID(\`recorder')
OSTYPE(\`linux')
define(\`confDOMAIN_NAME', \`mail.sender.example')
define(\`QUEUE_DIR', \`$at/queue')
define(\`STATUS_FILE', \`/dev/null')
define(\`ALIAS_FILE', \`')
define(\`confPID_FILE', \`$at/pid')
define(\`confHOST_STATUS_DIRECTORY', \`')
define(\`confSERVICE_SWITCH_FILE', \`$at/switch')
define(\`confQUEUE_LA', \`1000')dnl a busy machine is no reason to wait
define(\`confDEF_USER_ID', \`65534:65534')
define(\`SMART_HOST', \`esmtp:[$SERVER]')
FEATURE(\`nocanonify')
CLIENT_OPTIONS(\`Family=inet')
MAILER(\`smtp')
C
  m4 -D_CF_DIR_=/usr/share/sendmail/cf/ /usr/share/sendmail/cf/m4/cf.m4 $at/mc >$at/cf
fi
/usr/libexec/sendmail/sendmail -C $at/cf -odi -i -f "$FROM" "$TO" <"$M.lf"
[ -z "$(ls -A $at/queue)" ] || { tail -n 25 $at/queue/qf*; exit 1; }
