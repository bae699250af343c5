// zonemta.js NODE_MODULES: ZoneMTA's own sending process (lib/sender.js, its zone and its connection pool) with one message to send.
// Its queue is played here: it keeps messages in MongoDB, which Debian 12 does not have. The body comes from the queue in pieces of 255 KB.
const { readFileSync } = require('fs');
const { Readable } = require('stream');
const at = `${process.argv[2]}/zone-mta`;
process.chdir(at); // where it looks for its configuration
const plugins = require(`${at}/lib/plugins`);
const { SendingZone } = require(`${at}/lib/sending-zone`);
const ConnectionPool = require(`${at}/lib/connection-pool`);
const Sender = require(`${at}/lib/sender`);
const { SERVER, FROM, TO, M, TLS } = process.env;

const part = name => readFileSync(`${M}.${name}`);
const body = part('body');
let waiting = [{
  id: '1900000000000000', seq: '001', domain: TO.split('@')[1], from: FROM, recipient: TO, headers: part('header').toString().replace(/\r\n\r\n$/, ''),
  bodySize: body.length, origin: '127.0.0.1', transtype: 'ESMTP', time: Date.now(), skipSTS: true,
  dnsOptions: { ignoreIPv6: true, preferIPv6: false, blockLocalAddresses: false },
  mx: [{ priority: 0, exchange: SERVER, A: [SERVER], AAAA: [] }]
}];

function command(request, done) {
  if (request.cmd === 'GET') return done(null, waiting.pop());
  if (request.cmd === 'DEFER' || request.cmd === 'BOUNCE') { console.log(JSON.stringify(request)); process.exit(1); }
  done(null, request.cmd === 'RELEASE');
  if (request.cmd === 'RELEASE') setTimeout(() => process.exit(0), 500);
}

plugins.init('sender');
const zone = new SendingZone('default', { pool: [{ address: '0.0.0.0', name: 'mail.sender.example' }], ignoreTLS: TLS !== 'yes' }, false);
zone.connectionCache = { ttl: 5, reuseCount: 1 }; // no session waits for another message
const queue = { retrieve: () => Readable.from([body], { objectMode: false }) };
new Sender('client', 1, zone, command, queue, new ConnectionPool(command));
