// The line protocol between the end-to-end tests and a third-party client: one order per line on
// stdin, one event per line on stdout. A process holds any number of connections, told apart by id.
//
//   orders   <id> join <url>
//            <id> send text|binary <bytes>
//            <id> fragments text|binary <part>,<part>,…   a part is <bytes>, or !<bytes> for a ping in between
//            <id> ping <bytes>
//            <id> close <code> <bytes of the reason>
//   events   <id> open
//            <id> text|binary|pong <bytes>
//            <id> closed <code>
//            <id> refused <status>
//            <id> failed <words>
//
// <bytes> are hexadecimal, and `-` for none. What a client got is written down, not judged: the test judges.

import { createInterface } from 'node:readline';

export const decode = (hex) => (hex === '-' ? Buffer.alloc(0) : Buffer.from(hex, 'hex'));
const encode = (bytes) => (bytes.length === 0 ? '-' : Buffer.from(bytes).toString('hex'));

/** What a connection calls when something happened to it. */
function reporter(id) {
  const line = (...words) => process.stdout.write(`${[id, ...words].join(' ')}\n`);
  return {
    open: () => line('open'),
    message: (kind, bytes) => line(kind, encode(bytes)),
    pong: (bytes) => line('pong', encode(bytes)),
    closed: (code) => line('closed', code),
    refused: (status) => line('refused', status),
    failed: (error) => line('failed', String(error?.message ?? error).replace(/\s+/g, ' ')),
  };
}

function parts(list) {
  return list.split(',').map((part) => {
    const ping = part.startsWith('!');
    return { ping, bytes: decode(ping ? part.slice(1) : part) };
  });
}

/**
 * Obeys stdin until it ends. `join(url, report)` opens a connection and returns what steers it:
 * { send(kind, bytes), fragments(kind, parts), ping(bytes), close(code, reason) }.
 * Orders are obeyed one after the other, in their order.
 */
export async function obey(join) {
  const connections = new Map();
  for await (const line of createInterface({ input: process.stdin })) {
    const [id, order, ...words] = line.split(' ');
    const report = reporter(id);
    try {
      if (order === 'join') {
        connections.set(id, await join(words[0], report));
        continue;
      }
      const connection = connections.get(id);
      if (order === 'send') await connection.send(words[0], decode(words[1]));
      else if (order === 'fragments') await connection.fragments(words[0], parts(words[1]));
      else if (order === 'ping') await connection.ping(decode(words[0]));
      else if (order === 'close') await connection.close(Number(words[0]), decode(words[1]).toString());
      else throw new Error(`no such order: ${order}`);
    } catch (error) {
      report.failed(error);
    }
  }
}
