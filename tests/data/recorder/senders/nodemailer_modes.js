// nodemailer_modes.js NODE_MODULES raw|stream|build|pool: the message as it is, from a string or as a stream; or nodemailer's own
const { createReadStream, readFileSync } = require('fs');
const nodemailer = require(`${process.argv[2]}/nodemailer`);
const mode = process.argv[3];
const { SERVER, FROM, TO, M, TLS } = process.env;
const part = name => readFileSync(`${M}.${name}`, 'utf8');
const transport = nodemailer.createTransport({
  host: SERVER, port: 25, name: 'mail.sender.example', pool: mode === 'pool', ignoreTLS: TLS !== 'yes', tls: { rejectUnauthorized: false }
});
const mail = { envelope: { from: FROM, to: [TO] } };
if (mode === 'raw') mail.raw = part('crlf');
else if (mode === 'stream') mail.raw = createReadStream(`${M}.lf`, { highWaterMark: 4096 });
else {
  Object.assign(mail, { from: FROM, to: TO, subject: part('subject'), text: part('text') });
  if (part('html')) mail.html = part('html');
  if (part('bin')) mail.attachments = [{ path: `${M}.bin` }];
}
transport.sendMail(mail, error => { if (error) { console.log(error); process.exit(1); } transport.close(); });
