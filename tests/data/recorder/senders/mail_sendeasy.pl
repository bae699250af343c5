use FindBin; use lib $FindBin::Bin; use Parts; use Mail::SendEasy;
my $mail = new Mail::SendEasy(smtp => $ENV{SERVER});
$mail->send(from => $ENV{FROM}, to => $ENV{TO}, subject => part('subject'), msg => part('text'),
  (part('html') ? (html => part('html')) : ()), (part('bin') ? (anex => "$ENV{M}.bin") : ())) or die $mail->error;
