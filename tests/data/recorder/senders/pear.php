<?php
require 'message.php';
require_once 'Mail.php';
$mail = Mail::factory('smtp', ['host' => $server, 'port' => 25, 'auth' => false, 'localhost' => 'mail.sender.example']);
$done = $mail->send($to, ['From' => $from, 'To' => $to, 'Subject' => part('subject'), 'MIME-Version' => '1.0'], str_replace("\r\n", "\n", part('body')));
if (PEAR::isError($done)) { echo $done->getMessage(); exit(1); }
