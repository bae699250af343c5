set -e
cp "$M.lf" /tmp/message
git -c sendemail.smtpserver="$SERVER" -c sendemail.smtpserverport=25 -c sendemail.smtpdomain=mail.sender.example -c sendemail.from="$FROM" \
  -c user.name=sender -c user.email="$FROM" send-email --no-validate --confirm=never --suppress-cc=all --quiet --to="$TO" /tmp/message
