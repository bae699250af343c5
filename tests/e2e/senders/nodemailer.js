// Sends messages with nodemailer, one session each, in clear or under STARTTLS.
//
//   node nodemailer.js built|raw clear|TLS|"TLS 1.2" HOST FROM TO FILE...
//
// raw: sends the file unchanged. built: nodemailer builds a message with the file's body, date and X-Test-Id.
const { readFileSync } = require('fs');
const nodemailer = require('/usr/share/nodejs/nodemailer');

const [made, way, host, from, to, ...files] = process.argv.slice(2);
const transport = nodemailer.createTransport({
  host, port: 25, name: 'client.example', ignoreTLS: way === 'clear', requireTLS: way !== 'clear',
  tls: { rejectUnauthorized: false, maxVersion: way === 'TLS 1.2' ? 'TLSv1.2' : 'TLSv1.3' }
});

function message(text) {
  const head = text.slice(0, text.indexOf('\r\n\r\n'));
  const field = name => head.match(new RegExp(`^${name}: (.*)$`, 'm'))[1].trim();
  return { from: field('From'), to: field('To'), subject: field('Subject'), date: field('Date'),
           headers: { 'X-Test-Id': field('X-Test-Id') }, text: text.slice(head.length + 4) };
}

(async () => {
  for (const file of files) {
    const text = readFileSync(file, 'latin1');
    await transport.sendMail({ envelope: { from, to }, ...(made === 'raw' ? { raw: text } : message(text)) });
  }
})().catch(error => { console.log(error.message); process.exit(1); });
