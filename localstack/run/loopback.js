// Loaded by node before kinesis-mock, which listens on every interface: keeps it to loopback.
'use strict';
const { Server } = require('net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port, host: '127.0.0.1' }, ...rest.filter((a) => typeof a === 'function'));
};
