# Starts a Postfix that takes mail on 127.0.0.1:2525 and relays it to $SERVER, port $PORT (25 unless set).
set -e
at=/tmp/postfix
mkdir -p $at/conf $at/queue $at/data
chown postfix $at/data
cat >$at/conf/main.cf <<C
compatibility_level = 3.6
myhostname = mail.sender.example
mydestination =
inet_interfaces = loopback-only
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
queue_directory = $at/queue
data_directory = $at/data
maillog_file = $at/log
maillog_file_prefixes = $at
relayhost = [$SERVER]:${PORT:-25}
disable_dns_lookups = yes
smtp_host_lookup = native
smtp_tls_security_level = $([ "$TLS" = yes ] && echo encrypt || echo none)
alias_maps =
C
{
  echo "127.0.0.1:2525 inet n - n - - smtpd"
  sed -n '/^pickup/,${s/^\([a-z-]* *[a-z]* *[-ny] *[-ny] *\)y /\1n /; p}' /etc/postfix/master.cf
} >$at/conf/master.cf
postfix -c $at/conf start >/dev/null 2>&1 </dev/null || { tail -5 $at/log; exit 1; }
