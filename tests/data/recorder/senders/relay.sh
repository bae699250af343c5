# relay.sh KIND [PORT]: starts a relay to $SERVER, port 25: on 127.0.0.1:PORT (2600), or a SOCKS5 proxy on 127.0.0.1:1080.
set -e
near=${2:-2600}
at=$(mktemp -d)
chmod 755 "$at"
background() { setsid "$@" >"$at/log" 2>&1 </dev/null & }
keys() {
  ssh-keygen -q -t ed25519 -N '' -f "$at/key"
  ssh-keygen -q -t ed25519 -N '' -f "$at/host"
  cp "$at/key.pub" "$at/allowed"
  mkdir -p /run/sshd
  printf 'ListenAddress 127.0.0.1\nPort 2222\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nPermitRootLogin yes\nUsePAM no\nPidFile none\n' \
    "$at/host" "$at/allowed" >"$at/sshd"
  /usr/sbin/sshd -f "$at/sshd"
}
ports=$near
case $1 in
  socat) background socat TCP-LISTEN:$near,fork,reuseaddr "TCP:$SERVER:25" ;;
  haproxy)
    printf 'defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\nlisten mail\n bind 127.0.0.1:%s\n server one %s:25\n' \
      "$near" "$SERVER" >"$at/conf"
    background haproxy -db -f "$at/conf" ;;
  stunnel)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=relay -keyout "$at/pem" -out "$at/crt" 2>/dev/null
    cat "$at/crt" >>"$at/pem"
    printf 'foreground=yes\npid=\n[far]\naccept=127.0.0.1:2601\nconnect=%s:25\ncert=%s\n[near]\nclient=yes\naccept=127.0.0.1:%s\nconnect=127.0.0.1:2601\n' \
      "$SERVER" "$at/pem" "$near" >"$at/conf"
    background stunnel "$at/conf" ;;
  ssh-local)
    keys
    background ssh -N -i "$at/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p 2222 -L "127.0.0.1:$near:$SERVER:25" 127.0.0.1 ;;
  ssh-socks)
    keys
    ports=1080
    background ssh -N -i "$at/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p 2222 -D 127.0.0.1:1080 127.0.0.1 ;;
  microsocks) ports=1080; background microsocks -i 127.0.0.1 -p 1080 ;;
  dante)
    ports=1080
    printf 'logoutput: stderr\ninternal: 127.0.0.1 port = 1080\nexternal: eth0\nsocksmethod: none\nclientmethod: none\nuser.privileged: root\nuser.unprivileged: nobody\nclient pass { from: 0/0 to: 0/0 }\nsocks pass { from: 0/0 to: 0/0 }\n' >"$at/conf"
    background danted -f "$at/conf" ;;
  tinyproxy)
    ports="8888 $near"
    printf 'Port 8888\nListen 127.0.0.1\nConnectPort 25\nTimeout 60\nMaxClients 20\n' >"$at/conf"
    background tinyproxy -d -c "$at/conf"
    background socat TCP-LISTEN:$near,fork,reuseaddr "PROXY:127.0.0.1:$SERVER:25,proxyport=8888" ;;
  redir) background redir -n "127.0.0.1:$near" "$SERVER:25" ;;
  rinetd)
    printf '127.0.0.1 %s %s 25\n' "$near" "$SERVER" >"$at/conf"
    background rinetd -f -c "$at/conf" ;;
  shadowsocks)
    background ss-server -s 127.0.0.1 -p 8388 -k word -m aes-256-gcm
    background ss-tunnel -s 127.0.0.1 -p 8388 -k word -m aes-256-gcm -b 127.0.0.1 -l "$near" -L "$SERVER:25" ;;
  simpleproxy) background simpleproxy -L "127.0.0.1:$near" -R "$SERVER:25" ;;
  ncat) background ncat -k -l 127.0.0.1 "$near" --sh-exec "ncat $SERVER 25" ;;
  nginx)
    printf 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\nuser root;\ndaemon off;\npid %s/pid;\nerror_log stderr;\nevents {}\nstream { server { listen 127.0.0.1:%s; proxy_pass %s:25; } }\n' \
      "$at" "$near" "$SERVER" >"$at/conf"
    background nginx -c "$at/conf" ;;
esac
cat >/tmp/proxychains.conf <<C
strict_chain
quiet_mode
[ProxyList]
socks5 127.0.0.1 1080
C
for port in $ports; do
  for try in $(seq 50); do
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && continue 2
    sleep 0.2
  done
  tail -5 "$at/log"
  exit 1
done
