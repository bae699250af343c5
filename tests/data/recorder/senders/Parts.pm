package Parts;    # the message's parts
use strict;
use Exporter 'import';
our @EXPORT = 'part';
sub part { local $/; open my $file, '<', "$ENV{M}.$_[0]" or die $!; my $text = <$file>; return $text // '' }
1;
