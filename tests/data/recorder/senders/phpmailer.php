<?php
require 'message.php';
foreach (['Exception', 'PHPMailer', 'SMTP'] as $class) {
    foreach (['/usr/share/php/libphp-phpmailer/src/', '/usr/share/php/libphp-phpmailer/'] as $folder)
        if (is_file("$folder$class.php")) { require_once "$folder$class.php"; break; }
}
$mail = new PHPMailer\PHPMailer\PHPMailer(true);
$mail->isSMTP();
$mail->Host = $server;
$mail->Hostname = 'mail.sender.example';
$mail->SMTPOptions = ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]];
$mail->setFrom($from, 'Sender');
$mail->addAddress($to);
$mail->Subject = part('subject');
if (part('html')) { $mail->isHTML(true); $mail->Body = part('html'); $mail->AltBody = part('text'); }
else $mail->Body = part('text');
if (part('bin')) $mail->addAttachment(getenv('M') . '.bin', 'scan.bin');
$mail->send();
