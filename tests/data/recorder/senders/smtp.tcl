package require mime
package require smtp
proc part name { set file [open $::env(M).$name rb]; set text [read $file]; close $file; return $text }
set parts [list [mime::initialize -canonical text/plain -string [part text]]]
if {[part html] ne ""} { lappend parts [mime::initialize -canonical text/html -string [part html]] }
if {[part bin] ne ""} { lappend parts [mime::initialize -canonical application/octet-stream -file $::env(M).bin] }
set message [mime::initialize -canonical multipart/mixed -parts $parts]
smtp::sendmessage $message -servers $::env(SERVER) -client mail.sender.example -usetls 0 -originator $::env(FROM) -recipients $::env(TO) \
  -header [list From $::env(FROM)] -header [list To $::env(TO)] -header [list Subject [part subject]]
