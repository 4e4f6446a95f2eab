// What the demo looks like: the field with its ships, and the graph of the network. Must not know: rooms.

import { HEIGHT, RADIUS, ROCKS, WIDTH } from "/world.js";

/** A colour for each player, far from its neighbours'. */
export const color = (id, light = 68) => `hsl(${(id * 137.5 + 175) % 360} 88% ${light}%)`;

/** A canvas in the size that it is shown in. Returns its context, in CSS pixels. */
function fit(canvas) {
  const ratio = Math.min(devicePixelRatio, 2);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

const STARS = Array.from({ length: 260 }, () => ({ x: Math.random(), y: Math.random(), depth: 0.15 + Math.random() * 0.6 }));

export class Field {
  #canvas;
  #sparks = [];
  #camera = { x: WIDTH / 2, y: HEIGHT / 2, scale: 0.5 };
  #shake = 0;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** A point of the page, in the world. */
  point(x, y) {
    const { clientWidth, clientHeight } = this.#canvas;
    const { scale } = this.#camera;
    return { x: (x - clientWidth / 2) / scale + this.#camera.x, y: (y - clientHeight / 2) / scale + this.#camera.y };
  }

  burst({ x, y }, colour, count, speed = 260) {
    for (let i = 0; i < count && this.#sparks.length < 600; i++) {
      const angle = Math.random() * 2 * Math.PI;
      const fast = speed * Math.random();
      this.#sparks.push({ x, y, vx: Math.cos(angle) * fast, vy: Math.sin(angle) * fast, left: 0.3 + Math.random() * 0.7, colour });
    }
  }

  shake(much) {
    this.#shake = Math.max(this.#shake, much);
  }

  /** `ships`: { ship, id, name, away, mine }; `shots`: { x, y, id }. */
  draw(ships, shots, dt) {
    const { context: c, width, height } = fit(this.#canvas);
    const mine = ships.find((ship) => ship.mine)?.ship;
    this.#follow(mine, width, height, dt);
    this.#stars(c, width, height);
    const { x, y, scale } = this.#camera;
    this.#shake = Math.max(0, this.#shake - 30 * dt);
    const jolt = () => (Math.random() - 0.5) * this.#shake;
    c.translate(width / 2 + jolt(), height / 2 + jolt());
    c.scale(scale, scale);
    c.translate(-x, -y);
    this.#ground(c);
    for (const rock of ROCKS) this.#rock(c, rock);
    for (const other of ships) if (!other.ship.dead) this.#flame(c, other, dt);
    this.#fly(c, dt);
    c.lineCap = "round";
    for (const { x, y, vx, vy, id } of shots) {
      c.strokeStyle = color(id, 75);
      c.lineWidth = 4;
      c.shadowColor = color(id);
      c.shadowBlur = 12;
      c.beginPath();
      c.moveTo(x, y);
      c.lineTo(x - vx * 0.02, y - vy * 0.02);
      c.stroke();
    }
    c.shadowBlur = 0;
    for (const other of ships) if (!other.ship.dead) this.#ship(c, other);
    if (mine) this.#arrows(c, mine, ships, width, height);
  }

  #follow(mine, width, height, dt) {
    const camera = this.#camera;
    camera.scale = Math.max(0.42, Math.min(width, height) / 780);
    const goal = mine ?? { x: WIDTH / 2, y: HEIGHT / 2, vx: 0, vy: 0 };
    const near = 1 - Math.exp(-5 * dt);
    for (const [at, speed, size, seen] of [["x", "vx", WIDTH, width], ["y", "vy", HEIGHT, height]]) {
      const half = seen / camera.scale / 2;
      const to = 2 * half >= size + 120 ? size / 2 : Math.max(half - 60, Math.min(size - half + 60, goal[at] + goal[speed] * 0.25));
      const far = Math.abs(to - camera[at]) > 1200;
      camera[at] += (to - camera[at]) * (far ? 1 : near);
    }
  }

  #stars(c, width, height) {
    const { x, y } = this.#camera;
    const wrap = (value, size) => ((value % size) + size) % size;
    c.fillStyle = "#cdd6ff";
    for (const star of STARS) {
      c.globalAlpha = star.depth;
      const size = star.depth * 2.2;
      c.fillRect(wrap(star.x * width - x * star.depth * 0.2, width), wrap(star.y * height - y * star.depth * 0.2, height), size, size);
    }
    c.globalAlpha = 1;
  }

  #ground(c) {
    c.strokeStyle = "#ffffff0b";
    c.lineWidth = 2;
    c.beginPath();
    for (let x = 100; x < WIDTH; x += 100) c.rect(x, 0, 0, HEIGHT);
    for (let y = 100; y < HEIGHT; y += 100) c.rect(0, y, WIDTH, 0);
    c.stroke();
    c.strokeStyle = "#6ee7ff55";
    c.lineWidth = 5;
    c.shadowColor = "#6ee7ff";
    c.shadowBlur = 18;
    c.strokeRect(0, 0, WIDTH, HEIGHT);
    c.shadowBlur = 0;
  }

  #rock(c, rock) {
    c.save();
    c.translate(rock.x, rock.y);
    c.rotate(rock.turn);
    c.beginPath();
    for (let i = 0; i < 11; i++) {
      const angle = (i / 11) * 2 * Math.PI;
      const radius = rock.radius * (0.88 + 0.2 * rock.shape(i + 10));
      c.lineTo(Math.cos(angle) * radius, Math.sin(angle) * radius);
    }
    c.closePath();
    const fill = c.createRadialGradient(-rock.radius / 3, -rock.radius / 2, 4, 0, 0, rock.radius * 1.2);
    fill.addColorStop(0, "#434b78");
    fill.addColorStop(1, "#1b2040");
    c.fillStyle = fill;
    c.fill();
    c.strokeStyle = "#5b659b";
    c.lineWidth = 3;
    c.stroke();
    c.restore();
  }

  #flame(c, { ship, id }, dt) {
    if (ship.thrust < 0.05) return;
    const back = ship.angle + Math.PI;
    if (Math.random() < dt * 60) {
      const spread = back + (Math.random() - 0.5) * 0.7;
      const from = { x: ship.x + Math.cos(back) * 16, y: ship.y + Math.sin(back) * 16 };
      this.#sparks.push({ ...from, vx: Math.cos(spread) * 150, vy: Math.sin(spread) * 150, left: 0.35, colour: color(id, 60) });
    }
    c.fillStyle = "#ffc36e";
    c.beginPath();
    const tip = 18 + 16 * ship.thrust * (0.8 + 0.4 * Math.random());
    c.moveTo(ship.x + Math.cos(back) * tip, ship.y + Math.sin(back) * tip);
    for (const side of [2.5, -2.5]) c.lineTo(ship.x + Math.cos(ship.angle + side) * 15, ship.y + Math.sin(ship.angle + side) * 15);
    c.fill();
  }

  #fly(c, dt) {
    this.#sparks = this.#sparks.filter((spark) => (spark.left -= dt) > 0);
    for (const spark of this.#sparks) {
      spark.x += spark.vx * dt;
      spark.y += spark.vy * dt;
      c.globalAlpha = Math.min(1, spark.left * 2);
      c.fillStyle = spark.colour;
      c.fillRect(spark.x - 2, spark.y - 2, 4, 4);
    }
    c.globalAlpha = 1;
  }

  #ship(c, { ship, id, name, away, mine }) {
    c.save();
    c.globalAlpha = away ? 0.35 : 1;
    c.translate(ship.x, ship.y);
    c.save();
    c.rotate(ship.angle);
    c.beginPath();
    for (const [x, y] of [[24, 0], [-16, 15], [-9, 0], [-16, -15]]) c.lineTo(x, y);
    c.closePath();
    c.shadowColor = color(id);
    c.shadowBlur = mine ? 26 : 14;
    c.fillStyle = color(id);
    c.fill();
    c.shadowBlur = 0;
    c.strokeStyle = mine ? "#fff" : color(id, 85);
    c.lineWidth = mine ? 2.5 : 1.5;
    c.lineJoin = "round";
    c.stroke();
    c.restore();
    c.font = "600 15px system-ui, sans-serif";
    c.textAlign = "center";
    c.fillStyle = "#fffc";
    c.fillText(away ? `${name} (away)` : name, 0, RADIUS + 24);
    c.restore();
  }

  /** Where the others are who are not to be seen. */
  #arrows(c, mine, ships, width, height) {
    const { scale } = this.#camera;
    for (const { ship, id, mine: own } of ships) {
      const to = this.#toScreen(ship, width, height);
      if (own || (to.x > 0 && to.y > 0 && to.x < width && to.y < height)) continue;
      const angle = Math.atan2(ship.y - mine.y, ship.x - mine.x);
      const far = (Math.min(width, height) / 2 - 26) / scale;
      c.save();
      c.translate(this.#camera.x + Math.cos(angle) * far, this.#camera.y + Math.sin(angle) * far);
      c.rotate(angle);
      c.fillStyle = color(id);
      c.beginPath();
      for (const [x, y] of [[14, 0], [-8, 9], [-8, -9]]) c.lineTo(x, y);
      c.fill();
      c.restore();
    }
  }

  #toScreen(at, width, height) {
    const { x, y, scale } = this.#camera;
    return { x: (at.x - x) * scale + width / 2, y: (at.y - y) * scale + height / 2 };
  }
}

/** Lines of the last half minute, the newest at the right. */
export class Graph {
  #canvas;
  #lines;
  #length = 150;

  constructor(canvas, colours) {
    this.#canvas = canvas;
    this.#lines = colours.map((colour) => ({ colour, values: [] }));
  }

  add(...values) {
    values.forEach((value, i) => {
      this.#lines[i].values.push(value);
      if (this.#lines[i].values.length > this.#length) this.#lines[i].values.shift();
    });
    const { context: c, width, height } = fit(this.#canvas);
    const top = Math.max(60, ...this.#lines.flatMap(({ values: all }) => all)) * 1.1;
    c.font = "10px system-ui, sans-serif";
    c.fillStyle = "#9aa3cf";
    c.fillText(`${Math.round(top)} ms`, 2, 10);
    c.strokeStyle = "#ffffff1c";
    c.strokeRect(0, height - 1, width, 0);
    c.lineWidth = 1.6;
    c.lineJoin = "round";
    for (const { colour, values: all } of this.#lines) {
      c.strokeStyle = colour;
      c.beginPath();
      all.forEach((value, i) => c.lineTo(width - ((all.length - 1 - i) / (this.#length - 1)) * width, height - 2 - (value / top) * (height - 4)));
      c.stroke();
    }
  }
}
