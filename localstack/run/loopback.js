// Loaded by node before kinesis-mock, which listens on every interface: keeps it to loopback.
'use strict';
const { Server } = require('net');
const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) {
  if (first !== null && typeof first === 'object') {
    return listen.call(this, { ...first, host: '127.0.0.1' }, ...rest);
  }
  return listen.call(this, { port: first, host: '127.0.0.1' }, ...rest.filter((a) => typeof a === 'function'));
};
