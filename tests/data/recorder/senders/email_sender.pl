use FindBin; use lib $FindBin::Bin; use Parts; use Email::Sender::Simple 'sendmail'; use Email::Sender::Transport::SMTP;
sendmail(part('lf'), {from => $ENV{FROM}, to => $ENV{TO},
  transport => Email::Sender::Transport::SMTP->new({host => $ENV{SERVER}, helo => 'mail.sender.example'})});
