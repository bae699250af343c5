<?php // The message's parts.
function part($name) { return file_get_contents(getenv('M') . ".$name"); }
$server = getenv('SERVER'); $from = getenv('FROM'); $to = getenv('TO');
