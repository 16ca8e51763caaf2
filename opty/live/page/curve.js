// Drawings with axes: the error curve and the positions of the views.

/** Size a canvas to its place on the screen, clear it, and return its context and size in CSS pixels. */
function cleared(canvas) {
  const sharp = window.devicePixelRatio || 1, w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * sharp) || canvas.height !== Math.round(h * sharp)) {
    canvas.width = Math.round(w * sharp);
    canvas.height = Math.round(h * sharp);
  }
  const context = canvas.getContext("2d");
  context.setTransform(sharp, 0, 0, sharp, 0, 0);
  context.clearRect(0, 0, w, h);
  context.font = "11px system-ui, sans-serif";
  return [context, w, h];
}

/** Return about ``count`` round numbers from low to high. */
function ticks(low, high, count) {
  const rough = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999), found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9 * step; t += step) found.push(Math.abs(t) < step / 1e6 ? 0 : t);
  return found;
}

const short = (v) => (v === 0 ? "0" : Math.abs(v) >= 1e4 || Math.abs(v) < 1e-3 ? v.toExponential(0).replace("e+", "e") : String(+v.toPrecision(3)));

/** Draw misfits (on a logarithmic scale) over iterations. */
function drawCurve(canvas, [iterations, misfits]) {
  const [c, w, h] = cleared(canvas), points = [];
  iterations.forEach((it, k) => misfits[k] > 0 && points.push([it, Math.log10(misfits[k])]));
  c.fillStyle = styled("--soft");
  if (!points.length) {
    c.textAlign = "center";
    c.fillText("no iteration yet", w / 2, h / 2);
    return;
  }
  const ys = points.map((p) => p[1]);
  let low = Math.min(...ys), high = Math.max(...ys);
  if (high - low < 0.05) [low, high] = [low - 0.03, high + 0.03];
  const pad = 0.05 * (high - low), first = points[0][0], last = Math.max(points[points.length - 1][0], first + 1);
  const x = (it) => 48 + ((it - first) / (last - first)) * (w - 60), y = (v) => 8 + ((high + pad - v) / (high - low + 2 * pad)) * (h - 42);
  const decades = high - low > 1.2 ? ticks(Math.ceil(low), Math.floor(high), 4).filter(Number.isInteger) : [];
  const marks = decades.length > 1 ? decades : ticks(10 ** low, 10 ** high, 4).filter((v) => v > 0).map(Math.log10);
  c.strokeStyle = styled("--line");
  c.textAlign = "right";
  c.textBaseline = "middle";
  for (const v of marks) {
    c.beginPath(); c.moveTo(48, y(v)); c.lineTo(w - 12, y(v)); c.stroke();
    c.fillText(short(10 ** v), 43, y(v));
  }
  c.textAlign = "center";
  c.textBaseline = "top";
  for (const it of ticks(first, last, 5).filter(Number.isInteger)) c.fillText(it, x(it), h - 30);
  c.fillText("iteration", 48 + (w - 60) / 2, h - 14);
  c.strokeStyle = c.fillStyle = styled("--accent");
  c.lineWidth = 1.6;
  c.lineJoin = "round";
  c.beginPath();
  points.forEach(([it, v], k) => (k ? c.lineTo(x(it), y(v)) : c.moveTo(x(it), y(v))));
  c.stroke();
  const [it, v] = points[points.length - 1];
  c.beginPath(); c.arc(x(it), y(v), 3, 0, 7); c.fill();
}

/** Draw positions (row, column, nominal row, nominal column) of the views in the frame of the object. */
function drawPositions(canvas, rows, [height, width], pixel) {
  const [c, w, h] = cleared(canvas), count = rows.length / 4;
  let top = Infinity, bottom = -Infinity, left = Infinity, right = -Infinity, moved = 0;
  for (let k = 0; k < count; k++) {
    const r = rows[4 * k], q = rows[4 * k + 1];
    top = Math.min(top, r); bottom = Math.max(bottom, r); left = Math.min(left, q); right = Math.max(right, q);
    moved += Math.hypot(r - rows[4 * k + 2], q - rows[4 * k + 3]) / count;
  }
  const edge = Math.max(bottom - top, right - left, 8) * 0.04;
  const scale = Math.min((w - 20) / (right - left + 2 * edge), (h - 20) / (bottom - top + 2 * edge));
  const x = (q) => w / 2 + (q - (left + right) / 2) * scale, y = (r) => h / 2 + (r - (top + bottom) / 2) * scale;
  const dot = Math.min(3, Math.max(0.8, 0.25 * Math.sqrt((w * h) / Math.max(count, 1))));
  if (moved > 1e-3) {
    c.strokeStyle = c.fillStyle = styled("--nominal");
    c.beginPath();
    for (let k = 0; k < count; k++) {
      const [r, q, r0, q0] = rows.subarray(4 * k, 4 * k + 4);
      c.moveTo(x(q0) + dot, y(r0)); c.arc(x(q0), y(r0), dot, 0, 7);
      c.moveTo(x(q0), y(r0)); c.lineTo(x(q), y(r));
    }
    c.stroke();
  }
  c.fillStyle = styled("--accent");
  for (let k = 0; k < count; k++) {
    c.beginPath(); c.arc(x(rows[4 * k + 1]), y(rows[4 * k]), dot, 0, 7); c.fill();
  }
  return moved;
}
