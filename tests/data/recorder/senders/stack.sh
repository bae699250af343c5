# stack.sh KIND COMMAND…: runs the command where another program carries its packets or is its TCP stack.
#
#   slirp, pasta     a rootless container: the program ends the TCP connection and begins another one
#   gvisor           in a sandbox that has its own TCP stack
#   lwip             on lwIP, by a library that is loaded before the C library (lwip_shim.c)
#   openvpn, openvpn-tcp, wireguard-go    in a network whose only way out is a VPN
set -e
kind=$1
shift
at=$(mktemp -d)
chmod 755 "$at"
outside=()
tidy() {
  kill "${outside[@]}" 2>/dev/null || true
  ip link del near 2>/dev/null || true
}
trap tidy EXIT
background() { "$@" >>"$at/log" 2>&1 </dev/null & outside+=($!); }
failed() { tail -n 20 "$at/log"; exit 1; }
try() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; failed; }
into() { nsenter -t "$inside" --net "$@"; }

namespace_is_new() { [ "$(readlink "/proc/$inside/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
# A network namespace of its own; `inside` is a process in it.
namespace() {
  background unshare --net sleep 120
  inside=$!
  try namespace_is_new
  try into ip link set lo up
}
# What comes from the network $1 leaves by this one's address.
leave_by() {
  sysctl -qw net.ipv4.ip_forward=1
  nft add table ip leave
  nft flush table ip leave
  nft add chain ip leave out '{ type nat hook postrouting priority srcnat; }'
  nft add rule ip leave out ip saddr "$1" masquerade
}
wire() {
  namespace
  ip link add near type veth peer name far netns "$inside"
  ip addr add 10.90.0.1/24 dev near
  ip link set near up
  into ip addr add 10.90.0.2/24 dev far
  into ip link set far up
}
# Both ends have the VPN's interface: the way out leads through it.
by_vpn() {
  try ip addr show "$1"
  try into ip addr show "$2"
  leave_by 10.91.0.0/24
  try into ip route add default dev "$2"
  try into ping -c 1 -W 1 10.91.0.1
}

case $kind in
  pasta) exec pasta --quiet --runas 0 --netns-only --config-net -- "$@" ;;
  gvisor)
    # runsc takes a network for the machine's own where it sees net.core, which newer kernels show in every one: it gets settings of its own.
    sysctl -qw net.ipv4.ip_forward=1
    mkdir -p "$at/sys/net/ipv4" "$at/sys/vm"
    cp /proc/sys/vm/mmap_min_addr "$at/sys/vm"
    touch "$at/sys/net/ipv4/ip_forward"
    exec unshare --mount sh -c 'mount --bind "$0" /proc/sys; exec "$@"' "$at/sys" runsc --TESTONLY-unsafe-nonroot --root "$at/runsc" \
      --platform=ptrace --network=sandbox --ignore-cgroups do "$@" ;;
  lwip)
    ip tuntap add dev tap0 mode tap
    trap 'tidy; ip link del tap0' EXIT
    ip addr add 10.92.0.1/24 dev tap0
    ip link set tap0 up
    leave_by 10.92.0.0/24
    gcc -shared -fPIC -O1 -I/usr/include/lwip -o "$at/shim.so" "$S/lwip_shim.c" -llwip
    code=0
    LD_PRELOAD=$at/shim.so LWIP_ADDRESS=10.92.0.2 LWIP_GATEWAY=10.92.0.1 LWIP_USED=$at/used "$@" || code=$?
    [ -e "$at/used" ] || { echo "it did not send by lwIP"; code=1; } # programs that clean their environment, as Exim
    exit $code ;;
  slirp)
    namespace
    background slirp4netns --configure --mtu=1500 --disable-host-loopback "$inside" tap0
    try into sh -c 'ip addr show tap0 | grep inet' ;;
  openvpn | openvpn-tcp)
    wire
    openvpn --genkey secret "$at/key"
    common=(--dev-type tun --secret "$at/key" --cipher AES-256-CBC --auth SHA256 --nobind)
    [ "$kind" = openvpn ] && ways=(udp udp) || ways=(tcp-server tcp-client)
    background openvpn --dev vpn0 "${common[@]/--nobind/--lport}" 1194 --proto "${ways[0]}" --ifconfig 10.91.0.1 10.91.0.2
    background nsenter -t "$inside" --net openvpn --dev vpn1 "${common[@]}" --proto "${ways[1]}" --remote 10.90.0.1 1194 --ifconfig 10.91.0.2 10.91.0.1
    by_vpn vpn0 vpn1 ;;
  wireguard-go)
    wire
    for end in near far; do wg genkey >"$at/$end" 2>/dev/null; wg pubkey <"$at/$end" >"$at/$end.pub"; done
    background wireguard-go -f vpn0
    background nsenter -t "$inside" --net wireguard-go -f vpn1
    try ip link show vpn0
    try into ip link show vpn1
    wg set vpn0 listen-port 51820 private-key "$at/near" peer "$(cat "$at/far.pub")" allowed-ips 10.91.0.0/24
    # wg finds the program by a socket whose name is the interface's.
    into wg set vpn1 private-key "$at/far" peer "$(cat "$at/near.pub")" endpoint 10.90.0.1:51820 allowed-ips 0.0.0.0/0
    ip addr add 10.91.0.1/24 dev vpn0
    into ip addr add 10.91.0.2/24 dev vpn1
    ip link set vpn0 up
    into ip link set vpn1 up
    by_vpn vpn0 vpn1 ;;
esac
code=0
into "$@" || code=$?
exit $code
