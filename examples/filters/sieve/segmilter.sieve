# Moves messages into the folder Junk if they were sent as template bots send.
#
# For one user, or for all with Dovecot's sieve_before. Put the names of your own mail servers (general.hostname) into the
# expressions. ":index 1" is the topmost field, and only that one is segmilter's. This file needs the extensions "regex" and
# "index", which Dovecot's Pigeonhole has.
require ["fileinto", "imap4flags", "mailbox", "regex", "index"];

if allof (
  # segmilter does not judge users who have logged in. The Received field of your own Postfix names them: it is the topmost
  # one, or the second one below that of a delivery by LMTP.
  not header :index 1 :regex "Received" "by mx[12]\\.example\\.org \\(Postfix\\)[[:space:]]+with [A-Z0-9]*SMTPS?A id ",
  not allof (
    header :index 1 :contains "Received" " with LMTP ",
    header :index 2 :regex "Received" "by mx[12]\\.example\\.org \\(Postfix\\)[[:space:]]+with [A-Z0-9]*SMTPS?A id "),
  # A template bot; the score is 3.0 or more, the confidence 0.90 or more.
  header :index 1 :regex "X-Protocol-Pattern"
    "^[[:space:]]*mx[12]\\.example\\.org;[[:space:]]+pattern=bot-template;[[:space:]]+score=([3-9]|[1-9][0-9])\\.[0-9];[[:space:]]+confidence=(0\\.9[0-9]|1\\.00);.*;[[:space:]]+v=1$") {
  addflag "$Junk";
  fileinto :create "Junk";
}
