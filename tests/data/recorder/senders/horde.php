<?php // horde.php [built]: Horde_Smtp with the message as it is, or Horde_Mime's own over Horde_Mail's transport
require 'message.php';
spl_autoload_register(function ($class) {
    $file = '/usr/share/php/' . str_replace(['_', '\\'], '/', $class) . '.php';
    if (is_file($file)) require_once $file;
});
$options = ['host' => $server, 'port' => 25, 'secure' => false, 'localhost' => 'mail.sender.example'];
if (($argv[1] ?? '') === 'built') {
    $mail = new Horde_Mime_Mail(['From' => $from, 'To' => $to, 'Subject' => part('subject')]);
    $mail->setBody(part('text'));
    if (part('bin')) $mail->addAttachment(getenv('M') . '.bin', 'scan.bin');
    $mail->send(new Horde_Mail_Transport_Smtphorde($options));
} else {
    (new Horde_Smtp($options))->send(new Horde_Mail_Rfc822_Address($from), new Horde_Mail_Rfc822_Address($to), part('lf'));
}
