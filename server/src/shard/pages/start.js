// The start page: is the relay up, where is it, and one room seen by two.

import { join } from "/roomcast.js";

const relay = location.origin.replace(/^http/, "ws");
for (const [name, address] of [["http", location.origin], ["ws", relay]]) {
  for (const element of document.getElementsByClassName(name)) element.textContent = address;
}

const ready = document.getElementById("ready");
async function look() {
  const answer = await fetch("/readyz").catch(() => null);
  ready.textContent = answer?.ok ? "Up, and takes players." : answer ? (await answer.text()).trim() : "Not to be reached.";
  ready.className = `quiet ${answer?.ok ? "up" : "down"}`;
}
void look();
setInterval(look, 5_000);

fetch("/demo", { method: "HEAD" }).then(({ ok }) => (document.getElementById("demo").hidden = !ok), () => {});

/** One player, as a box that says what happens to it. */
class Pane {
  constructor(name) {
    this.name = name;
    this.box = document.createElement("article");
    this.box.className = "pane";
    this.box.innerHTML =
      '<h3></h3><ol aria-live="polite"></ol><form><input maxlength="200" placeholder="Say something" autocomplete="off"><button>Send</button></form><div class="dot" hidden></div>';
    [this.title, this.lines, this.form, this.dot] = this.box.children;
    this.title.textContent = name;
    document.querySelector(".panes").append(this.box);
  }

  say(text, color = "") {
    const line = document.createElement("li");
    line.textContent = text;
    line.style.color = color;
    this.lines.append(line);
    while (this.lines.children.length > 100) this.lines.firstChild.remove();
    line.scrollIntoView({ block: "nearest" });
  }

  async enter(address) {
    const room = await join(address, { name: this.name });
    const others = () => [...room.players.values()].filter((player) => player !== room.me).map(({ name }) => name);
    const count = () => (this.title.textContent = [this.name, ...others()].join(", "));
    room.on("joined", ({ name }) => this.say(`${name} is here`, "var(--quiet)"));
    room.on("left", ({ name }) => this.say(`${name} is gone`, "var(--quiet)"));
    for (const event of ["joined", "left", "reset"]) room.on(event, count);
    room.on("message", ({ data, from }) => this.say(`${from.name}: ${data}`, "var(--warm)"));
    room.on("lost", ({ message }) => this.say(message, "var(--quiet)"));
    room.on("resumed", () => this.say("back, nothing is missing", "var(--quiet)"));
    room.on("closed", ({ message }) => this.say(message));
    // Where the pointer is over one side is a state: the other side draws it.
    room.on("state", ({ data }) => {
      const [x, y] = data ? new Float32Array(data.buffer) : [];
      this.dot.hidden = x === undefined;
      this.dot.style.left = `${100 * x}%`;
      this.dot.style.top = `${100 * y}%`;
    });
    this.box.addEventListener("pointermove", (event) => {
      const { left, top, width, height } = this.box.getBoundingClientRect();
      room.state(0, Float32Array.of((event.clientX - left) / width, (event.clientY - top) / height));
    });
    this.box.addEventListener("pointerleave", () => room.state(0, null));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const input = this.form.firstChild;
      if (input.value && room.send(input.value) !== null) this.say(`${this.name}: ${input.value}`);
      input.value = "";
    });
    count();
  }
}

// A room of its own for each visitor, as long as the page stands.
const name = `try-${Math.random().toString(36).slice(2, 10)}`;
const panes = [new Pane("Ada"), new Pane("Bob")];
for (const pane of panes) await pane.enter(`${relay}/rooms/${name}`).catch((why) => pane.say(why.message));
