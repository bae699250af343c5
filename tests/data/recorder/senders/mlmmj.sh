# A list with one subscriber; the message goes to the list.
set -e
list=/tmp/mlmmj/list
if [ ! -d "$list" ]; then
  mkdir -p /tmp/mlmmj
  printf 'sender.example\n%s\nen\nn\nn\n' "$FROM" | /usr/bin/mlmmj-make-ml -L list -s /tmp/mlmmj >/dev/null
  echo "$SERVER" >"$list/control/relayhost"
  echo mail.sender.example >"$list/control/smtphelo"
  /usr/bin/mlmmj-sub -L "$list" -a "$TO" -s -f
fi
sed "s/^To: .*/To: list@sender.example/" "$M.lf" | { printf "Return-Path: <%s>\nDelivered-To: list@sender.example\n" "$FROM"; cat; } | /usr/bin/mlmmj-receive -F -L "$list"
