// The npm package `ws` as a player.
import WebSocket from 'ws';
import { obey } from './puppet.mjs';

await obey((url, report) => {
  const socket = new WebSocket(url, { maxPayload: 1 << 24 });
  socket.on('open', report.open);
  socket.on('message', (bytes, isBinary) => report.message(isBinary ? 'binary' : 'text', bytes));
  socket.on('pong', report.pong);
  socket.on('close', report.closed);
  socket.on('unexpected-response', (request, response) => {
    report.refused(response.statusCode);
    request.destroy();
  });
  socket.on('error', report.failed);
  return {
    send: (kind, bytes) => socket.send(bytes, { binary: kind === 'binary' }),
    fragments: (kind, parts) => {
      const last = parts.findLastIndex((part) => !part.ping);
      parts.forEach(({ ping, bytes }, at) => {
        if (ping) socket.ping(bytes);
        else socket.send(bytes, { binary: kind === 'binary', fin: at === last });
      });
    },
    ping: (bytes) => socket.ping(bytes),
    close: (code, reason) => socket.close(code, reason),
  };
});
process.exit(0);
