set -e
printf 'SMARTHOST %s\nMAILNAME mail.sender.example\n' "$SERVER" >/etc/dma/dma.conf
dma -D -f "$FROM" "$TO" <"$M.lf"
