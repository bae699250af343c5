set -e
printf 'mailhub=%s\nhostname=mail.sender.example\nFromLineOverride=YES\n' "$SERVER" >/etc/ssmtp/ssmtp.conf
ssmtp "-f$FROM" "$TO" <"$M.lf"
