// smtp_connection.js NODE_MODULES
const { readFileSync } = require('fs');
const SMTPConnection = require(`${process.argv[2]}/smtp-connection`);
const { SERVER, FROM, TO, M } = process.env;
const connection = new SMTPConnection({ host: SERVER, port: 25, name: 'mail.sender.example', ignoreTLS: true });
connection.connect(() => connection.send({ from: FROM, to: [TO] }, readFileSync(`${M}.crlf`), error => {
  if (error) { console.log(error); process.exit(1); }
  connection.quit();
}));
