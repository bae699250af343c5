use FindBin; use lib $FindBin::Bin; use Parts; use MIME::Lite;
my $mail = MIME::Lite->new(From => $ENV{FROM}, To => $ENV{TO}, Subject => part('subject'), Type => 'multipart/mixed');
$mail->attach(Type => 'TEXT', Data => part('text'));
$mail->attach(Type => 'text/html', Data => part('html')) if part('html');
$mail->attach(Type => 'application/octet-stream', Path => "$ENV{M}.bin", Filename => 'scan.bin') if part('bin');
$mail->send('smtp', $ENV{SERVER}, Timeout => 30, Hello => 'mail.sender.example');
