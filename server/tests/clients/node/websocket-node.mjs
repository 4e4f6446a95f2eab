// The npm package `websocket` (WebSocket-Node) as a player.
import websocket from 'websocket';
import { obey } from './puppet.mjs';

const TEXT = 1;
const BINARY = 2;
const CONTINUATION = 0;

await obey((url, report) => {
  let connection;
  const client = new websocket.client({
    fragmentOutgoingMessages: false,
    maxReceivedFrameSize: 1 << 24,
    maxReceivedMessageSize: 1 << 24,
  });
  client.on('connectFailed', report.failed);
  client.on('httpResponse', (response) => report.refused(response.statusCode));
  client.on('connect', (opened) => {
    connection = opened;
    connection.on('message', (message) => {
      if (message.type === 'utf8') report.message('text', Buffer.from(message.utf8Data));
      else report.message('binary', message.binaryData);
    });
    connection.on('pong', report.pong);
    connection.on('error', report.failed);
    connection.on('close', report.closed);
    report.open();
  });
  client.connect(url);

  const frame = (opcode, fin, payload) => {
    const made = new websocket.frame(connection.maskBytes, connection.frameHeader, connection.config);
    made.opcode = opcode;
    made.fin = fin;
    made.binaryPayload = payload;
    connection.sendFrame(made);
  };
  return {
    send: (kind, bytes) => (kind === 'binary' ? connection.sendBytes(bytes) : connection.sendUTF(bytes.toString())),
    fragments: (kind, parts) => {
      const last = parts.findLastIndex((part) => !part.ping);
      let opcode = kind === 'binary' ? BINARY : TEXT;
      parts.forEach(({ ping, bytes }, at) => {
        if (ping) {
          connection.ping(bytes);
          return;
        }
        frame(opcode, at === last, bytes);
        opcode = CONTINUATION;
      });
    },
    ping: (bytes) => connection.ping(bytes),
    close: (code, reason) => connection.close(code, reason),
  };
});
process.exit(0);
