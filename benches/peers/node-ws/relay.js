// The room relay on Node and ws: every message goes to all others in the room that the path names.
import { WebSocketServer } from "ws";

const [flag = "--listen", listen = "127.0.0.1:7793"] = process.argv.slice(2);
const [host, port] = listen.split(":");
if (flag !== "--listen" || !(Number(port) >= 0)) {
  console.error("usage: node relay.js [--listen 127.0.0.1:7793]");
  process.exit(2);
}

const rooms = new Map();
const server = new WebSocketServer({ host, port: Number(port), perMessageDeflate: false });

server.on("listening", () => console.log(`listens on ${host}:${server.address().port}`));
server.on("connection", (socket, request) => {
  const name = request.url;
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room.add(socket));
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, binary) => {
    for (const member of room) {
      if (member !== socket) member.send(data, { binary });
    }
  });
  socket.on("close", () => {
    room.delete(socket);
    if (room.size === 0) rooms.delete(name);
  });
});
