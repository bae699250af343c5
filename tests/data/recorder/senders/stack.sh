# stack.sh slirp|pasta COMMAND…: runs the command behind a TCP stack in user space, as rootless containers do.
set -e
kind=$1
shift
if [ "$kind" = pasta ]; then exec pasta --quiet --runas 0 --netns-only --config-net -- "$@"; fi
unshare --net sleep 60 &
inside=$!
sleep 0.3
slirp4netns --configure --mtu=1500 --disable-host-loopback $inside tap0 >/tmp/slirp.log 2>&1 &
outside=$!
for _ in $(seq 50); do nsenter -t $inside --net ip addr show tap0 2>/dev/null | grep -q inet && break; sleep 0.1; done
code=0
nsenter -t $inside --net "$@" || code=$?
kill $outside $inside
exit $code
