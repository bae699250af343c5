# net_smtp.pl lines|whole: one datasend a line, or one for all.
use FindBin; use lib $FindBin::Bin; use Parts; use Net::SMTP;
my $smtp = Net::SMTP->new($ENV{SERVER}, Hello => 'mail.sender.example', Timeout => 30) or die;
$smtp->mail($ENV{FROM}) and $smtp->to($ENV{TO}) and $smtp->data() or die $smtp->message;
$smtp->datasend($_) for $ARGV[0] eq 'whole' ? part('lf') : split /(?<=\n)/, part('lf');
$smtp->dataend() or die $smtp->message;
$smtp->quit;
