<?php
require 'message.php';
require_once is_file('/usr/share/php/Swift/autoload.php') ? '/usr/share/php/Swift/autoload.php' : '/usr/share/php/Swift/swift_required.php';
$message = (new Swift_Message(part('subject')))->setFrom([$from => 'Sender'])->setTo([$to => 'Alice'])->setBody(part('text'));
if (part('html')) $message->addPart(part('html'), 'text/html');
if (part('bin')) $message->attach(Swift_Attachment::fromPath(getenv('M') . '.bin'));
(new Swift_Mailer((new Swift_SmtpTransport($server, 25))->setLocalDomain('mail.sender.example')))->send($message);
