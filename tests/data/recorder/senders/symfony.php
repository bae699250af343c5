<?php
require 'message.php';
require_once '/usr/share/php/Symfony/Component/Mailer/autoload.php';
if (is_file('/usr/share/php/Symfony/Component/Mime/autoload.php')) require_once '/usr/share/php/Symfony/Component/Mime/autoload.php';
$email = (new Symfony\Component\Mime\Email())->from($from)->to($to)->subject(part('subject'))->text(part('text'));
if (part('html')) $email->html(part('html'));
if (part('bin')) $email->attachFromPath(getenv('M') . '.bin');
$transport = Symfony\Component\Mailer\Transport::fromDsn("smtp://$server:25?verify_peer=0&local_domain=mail.sender.example");
(new Symfony\Component\Mailer\Mailer($transport))->send($email);
