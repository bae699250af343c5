use FindBin; use lib $FindBin::Bin; use Parts; use Mail::Sendmail;
sendmail(smtp => $ENV{SERVER}, From => $ENV{FROM}, To => $ENV{TO}, Subject => part('subject'), Message => part('text') . part('html'))
  or die $Mail::Sendmail::error;
