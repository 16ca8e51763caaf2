// A picture of the object: magnitude or phase, with zoom, colours, scale bar, and the value under the pointer.

const UNLIT = -32768, MOST = 1024;
const UNITS = [[1e-3, "mm"], [1e-6, "µm"], [1e-9, "nm"], [1e-10, "Å"], [1e-12, "pm"]];

/** Return the longest of 1, 2, 5 x 10^k units within ``longest`` pixels, in pixels, and its label. */
function roundLength(longest, pixel) {
  const most = pixel ? longest * pixel : longest, power = 10 ** Math.floor(Math.log10(most));
  const length = Math.max(...[1, 2, 5].map((k) => k * power).filter((k) => k <= most * (1 + 1e-9)));
  if (!pixel) return [length, `${+length.toPrecision(4)} px`];
  const [size, unit] = UNITS.find(([size]) => length >= size * (1 - 1e-9)) || UNITS[UNITS.length - 1];
  return [length / pixel, `${+(length / size).toPrecision(4)} ${unit}`];
}

/** What part of the object the pictures show; both show the same. */
class View {
  constructor() { this.box = null; this.fitted = true; this.listeners = []; }
  set(box, fitted = false) { this.box = box; this.fitted = fitted; this.listeners.forEach((f) => f()); }
}

class Picture {
  constructor(place, view) {
    this.what = place.dataset.what;
    this.view = view;
    const cyclic = this.what === "phase", maps = ["grey", "viridis", "magma", "cividis", "cyclic"];
    place.innerHTML = `<h2>Object ${this.what} <small></small><span class="tools">
      <select aria-label="Colour map of the ${this.what}">${cyclic ? '<option value="">automatic</option>' : ""}
      ${maps.map((m) => `<option>${m}</option>`).join("")}</select>
      <button class="fit" title="Show all that was lit (double click)">Fit</button>
      <button class="keep" title="Save what is shown as a PNG file">Save PNG</button></span></h2>
      <div class="frame"><canvas tabindex="0" aria-label="Object ${this.what}"></canvas><output hidden></output></div>`;
    this.said = place.querySelector("small");
    this.canvas = place.querySelector("canvas");
    this.output = place.querySelector("output");
    this.map = place.querySelector("select");
    this.sheet = document.createElement("canvas");
    this.map.onchange = () => this.paint();
    place.querySelector(".fit").onclick = () => view.set(null, true);
    place.querySelector(".keep").onclick = () => this.keep();
    view.listeners.push(() => this.draw());
    this.listen();
  }

  /** Take a part of the object: numbers (re, im), and where they lie. */
  take(part, pixel) {
    this.part = part;
    this.pixel = pixel;
    const { numbers, shape: [h, w], scale } = part, values = new Float32Array(h * w), count = h * w;
    if (this.what === "magnitude") {
      for (let k = 0; k < count; k++) values[k] = numbers[2 * k] === UNLIT ? NaN : scale * Math.hypot(numbers[2 * k], numbers[2 * k + 1]);
    } else {
      if (part.whole || !this.turn) this.turn = meanPhase(numbers);
      const [re, im] = this.turn; // the mean of all, so that a part has the colours that it has in the whole
      for (let k = 0; k < count; k++) {
        const a = numbers[2 * k], b = numbers[2 * k + 1];
        values[k] = a === UNLIT ? NaN : Math.atan2(b * re - a * im, a * re + b * im);
      }
    }
    this.values = values;
    if (part.whole || !this.limits) this.limits = limits(values, this.what);
    this.paint();
  }

  /** Colour the values, into a sheet of one pixel each. */
  paint() {
    if (!this.part) return;
    const [h, w] = this.part.shape, wraps = this.what === "phase" && this.limits[1] - this.limits[0] >= Math.PI;
    const name = this.map.value || (wraps ? "cyclic" : "grey");
    this.shown = name === "cyclic" && this.what === "phase" ? [-Math.PI, Math.PI] : this.limits;
    const colours = coloursOf(name), [low, high] = this.shown, factor = 255 / (high - low);
    this.sheet.width = w;
    this.sheet.height = h;
    const context = this.sheet.getContext("2d"), image = context.createImageData(w, h), out = new Uint32Array(image.data.buffer);
    for (let k = 0; k < out.length; k++) {
      const v = this.values[k];
      out[k] = v === v ? colours[Math.min(Math.max(Math.round((v - low) * factor), 0), 255)] : 0;
    }
    context.putImageData(image, 0, 0);
    this.colours = colours;
    this.draw();
  }

  /** Return the box (top, left, height, width) [px of the object] on the canvas, with its aspect. */
  box(w, h) {
    const { lit } = this.part, b = this.view.box || { top: lit[0], left: lit[2], height: lit[1] - lit[0], width: lit[3] - lit[2] };
    const scale = Math.min((w - 70) / b.width, h / b.height);
    return { scale, top: b.top - (h / scale - b.height) / 2, left: b.left - ((w - 70) / scale - b.width) / 2 };
  }

  draw(canvas = this.canvas) {
    if (!this.part) return;
    const [c, w, h] = cleared(canvas), { rows, cols } = this.part, { scale, top, left } = (this.place = this.box(w, h));
    c.fillStyle = styled("--unlit");
    c.fillRect(0, 0, w - 70, h);
    c.save();
    c.beginPath(); c.rect(0, 0, w - 70, h); c.clip();
    c.imageSmoothingEnabled = scale * this.part.step < 3;
    c.imageSmoothingQuality = "high";
    const covered = this.part.shape.map((size) => size * this.part.step);
    c.drawImage(this.sheet, (cols[0] - left) * scale, (rows[0] - top) * scale, covered[1] * scale, covered[0] * scale);
    this.drawScaleBar(c, w - 70, h, scale);
    c.restore();
    this.drawColourBar(c, w, h);
  }

  drawScaleBar(c, w, h, scale) {
    const [length, label] = roundLength(Math.max(0.25 * w / scale, 1e-3), this.pixel), x = 14, y = h - 14;
    c.lineWidth = 6; c.strokeStyle = "#000b"; c.lineCap = "butt";
    c.beginPath(); c.moveTo(x - 1.5, y); c.lineTo(x + length * scale + 1.5, y); c.stroke();
    c.lineWidth = 3; c.strokeStyle = "#fff";
    c.beginPath(); c.moveTo(x, y); c.lineTo(x + length * scale, y); c.stroke();
    c.font = "600 12px system-ui, sans-serif"; c.textAlign = "left"; c.textBaseline = "bottom";
    c.lineWidth = 3; c.strokeStyle = "#000b"; c.strokeText(label, x, y - 5);
    c.fillStyle = "#fff"; c.fillText(label, x, y - 5);
  }

  drawColourBar(c, w, h) {
    const x = w - 60, top = 6, tall = h - 12, [low, high] = this.shown;
    for (let k = 0; k < tall; k++) {
      const colour = this.colours[Math.round(255 * (1 - k / (tall - 1)))];
      c.fillStyle = `rgb(${colour & 255},${(colour >> 8) & 255},${(colour >> 16) & 255})`;
      c.fillRect(x, top + k, 12, 1.5);
    }
    c.fillStyle = styled("--soft"); c.font = "11px system-ui, sans-serif"; c.textAlign = "left"; c.textBaseline = "middle";
    const marks = low === -Math.PI ? [[-Math.PI, "−π"], [0, "0"], [Math.PI, "π"]] : ticks(low, high, 5).map((v) => [v, String(+v.toPrecision(4))]);
    for (const [v, text] of marks) {
      const y = top + tall * (1 - (v - low) / (high - low));
      c.fillText(text, x + 17, Math.min(Math.max(y, 8), h - 8));
    }
  }

  /** Return row and column of the object under a place on the canvas. */
  at(event) {
    const edge = this.canvas.getBoundingClientRect();
    return [this.place.top + (event.clientY - edge.top) / this.place.scale, this.place.left + (event.clientX - edge.left) / this.place.scale];
  }

  zoom(factor, [row, col]) {
    const { scale, top, left } = this.place, w = (this.canvas.clientWidth - 70) / scale, h = this.canvas.clientHeight / scale;
    const most = 4 * Math.max(...this.part.frame), f = Math.min(Math.max(factor, 8 / w), most / w);
    this.view.set({ top: row - (row - top) * f, left: col - (col - left) * f, height: h * f, width: w * f });
  }

  listen() {
    const canvas = this.canvas;
    let from = null;
    canvas.addEventListener("wheel", (event) => {
      if (!this.part) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1 / 1.25 : 1.25, this.at(event));
    }, { passive: false });
    canvas.addEventListener("dblclick", () => this.view.set(null, true));
    canvas.addEventListener("pointerdown", (event) => { if (this.part) { from = [event.clientX, event.clientY, { ...this.place }]; canvas.setPointerCapture(event.pointerId); } });
    canvas.addEventListener("pointerup", () => { from = null; });
    canvas.addEventListener("pointerleave", () => { this.output.hidden = true; });
    canvas.addEventListener("pointermove", (event) => {
      if (!this.part) return;
      if (from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 3) {
        const { scale, top, left } = from[2], w = (canvas.clientWidth - 70) / scale, h = canvas.clientHeight / scale;
        this.view.set({ top: top - (event.clientY - from[1]) / scale, left: left - (event.clientX - from[0]) / scale, height: h, width: w });
      }
      this.say(this.at(event));
    });
    canvas.addEventListener("keydown", (event) => {
      const middle = () => [this.place.top + canvas.clientHeight / 2 / this.place.scale, this.place.left + (canvas.clientWidth - 70) / 2 / this.place.scale];
      if (event.key === "+" || event.key === "=") this.zoom(1 / 1.25, middle());
      else if (event.key === "-") this.zoom(1.25, middle());
      else if (event.key === "0") this.view.set(null, true);
    });
  }

  /** Say the value at a place. */
  say([row, col]) {
    const { rows, cols, step, shape: [h, w] } = this.part, r = Math.floor((row - rows[0]) / step), q = Math.floor((col - cols[0]) / step);
    const v = r >= 0 && q >= 0 && r < h && q < w ? this.values[r * w + q] : NaN;
    this.output.hidden = false;
    this.output.textContent = `(${Math.floor(row)}, ${Math.floor(col)})  ${v === v ? `${v.toPrecision(4)}${this.what === "phase" ? " rad" : ""}` : "not lit"}`;
  }

  keep() {
    this.canvas.toBlob((blob) => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${this.what}_${String(this.part.iteration).padStart(5, "0")}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }
}

/** Return the direction (re, im) of the sum of all lit numbers: their mean phase. */
function meanPhase(numbers) {
  let re = 0, im = 0;
  for (let k = 0; k < numbers.length; k += 2) if (numbers[k] !== UNLIT) { re += numbers[k]; im += numbers[k + 1]; }
  const size = Math.hypot(re, im) || 1;
  return [re / size, im / size];
}

/** Return the 0.5 and 99.5 percentiles of values, a least distance apart. */
function limits(values, what) {
  const step = Math.max(1, Math.floor(values.length / 40000)), some = [];
  for (let k = 0; k < values.length; k += step) if (values[k] === values[k]) some.push(values[k]);
  if (!some.length) return [0, 1];
  some.sort((a, b) => a - b);
  const low = some[Math.floor(0.005 * some.length)], high = some[Math.min(some.length - 1, Math.floor(0.995 * some.length))];
  const least = what === "phase" ? 0.1 : 0.05 * some[some.length >> 1] || 1e-9, lacking = Math.max(least - (high - low), 0) / 2;
  return [low - lacking, high + lacking];
}

/** Draw a mode of the probe: amplitude as brightness, phase as hue. */
function drawMode(canvas, numbers, n, most) {
  canvas.width = canvas.height = n;
  const context = canvas.getContext("2d"), image = context.createImageData(n, n);
  for (let k = 0; k < n * n; k++) {
    const a = numbers[2 * k], b = numbers[2 * k + 1], bright = Math.min(Math.hypot(a, b) / most, 1);
    const hue = HUES[((Math.round((Math.atan2(b, a) / (2 * Math.PI)) * 256) % 256) + 256) % 256];
    for (let part = 0; part < 3; part++) image.data[4 * k + part] = hue[part] * bright;
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
