// npm_sendmail.js NODE_MODULES
const { readFileSync } = require('fs');
const { SERVER, FROM, TO, M } = process.env;
const part = name => readFileSync(`${M}.${name}`, 'utf8');
const sendmail = require(`${process.argv[2]}/sendmail`)({ silent: true, devHost: SERVER, devPort: 25 });
const mail = { from: FROM, to: TO, subject: part('subject'), text: part('text') };
if (part('html')) mail.html = part('html');
if (part('bin')) mail.attachments = [{ path: `${M}.bin` }];
sendmail(mail, error => { if (error) { console.log(error); process.exit(1); } });
