// A Socket.IO room that everybody joins. Each line on standard input is a message for the room; it is stamped when
// it is handed on. Usage: node server.js PORT
const http = require("node:http");
const readline = require("node:readline");
const { Server } = require("socket.io");

const server = http.createServer((_, response) => response.writeHead(200, { "content-length": 0 }).end());
const io = new Server(server, { transports: ["websocket"], serveClient: false });
io.on("connection", (socket) => socket.join("order"));
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const message = JSON.parse(line);
  message.us = Math.round((performance.timeOrigin + performance.now()) * 1000);
  io.to("order").emit("step", message);
});
server.listen(Number(process.argv[2]), "127.0.0.1");
