// The page: it asks for news, fetches pictures when there are new ones, and gives orders.

const token = new URLSearchParams(location.search).get("token") || "", el = (id) => document.getElementById(id);
const view = new View(), pictures = [new Picture(el("magnitude"), view), new Picture(el("phase"), view)];
let facts = { number: -1 }, serial = null, taken = 0, positions = null, refetch = null, slice = -1;

const address = (path, asked = {}) => `${path}?${new URLSearchParams({ token, ...asked })}`;

async function get(path, asked) {
  const answer = await fetch(address(path, asked));
  if (!answer.ok) throw Object.assign(new Error(await answer.text()), { status: answer.status });
  return answer;
}

async function part(path, asked) {
  const answer = await get(path, asked), place = JSON.parse(answer.headers.get("X-Opty-Part"));
  return { ...place, numbers: new Int16Array(await answer.arrayBuffer()) };
}

/** Return seconds as a person says them. */
function said(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min ${String(Math.round(seconds % 60) % 60).padStart(2, "0")} s`;
  return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
}

const put = (id, text) => { if (el(id).textContent !== text) el(id).textContent = text; };

function show(found) {
  const { state, picture: p, kind } = found, run = kind === "run", over = !["running", "paused", "stopping"].includes(state);
  put("state", state);
  el("state").className = `state ${state}`;
  put("file", found.file ? found.file.split(/[\\/]/).pop() : "");
  el("file").title = found.file || "";
  document.title = `${found.file ? found.file.split(/[\\/]/).pop() : "opty"} · ${state}`;
  for (const id of ["pause", "save", "stop"]) el(id).hidden = !run || over;
  for (const one of document.querySelectorAll(".of-run")) one.hidden = !run;
  put("pause", state === "paused" ? "Go on" : "Pause");
  el("pause").disabled = el("stop").disabled = state === "stopping";
  el("note").hidden = !found.note;
  if (found.note) { put("note", found.note.text); el("note").className = found.note.failed ? "failed" : ""; }
  numbers(found, over);
  put("recipe", found.recipe || "");
  if (found.curve) drawCurve(el("curve").querySelector("canvas"), found.curve);
  if (p && pictures[0].said) for (const one of pictures) one.said.textContent = `${p.shape[0]} × ${p.shape[1]} px${p.pixel ? `, ${lengthSaid(p.pixel)} each` : ""}`;
}

const lengthSaid = (metres) => { const [size, unit] = UNITS.find(([s]) => metres >= s) || UNITS[4]; return `${+(metres / size).toPrecision(3)} ${unit}`; };

function numbers(found, over) {
  const { iteration: it, planned, exact, first = 0, rate, left, elapsed, curve, views, picture: p } = found;
  put("iteration", it === undefined ? "–" : String(it));
  const grows = !over && found.growing !== null && found.growing !== undefined;
  put("planned", planned && !over && !grows ? `of ${exact ? "" : "at most "}${planned}` : "");
  el("bar").firstElementChild.style.width = planned > first && !grows ? `${(100 * (it - first)) / (planned - first)}%` : "0";
  el("bar").hidden = !planned;
  const misfits = curve ? curve[1] : [], last = misfits[misfits.length - 1];
  put("misfit", last ? last.toPrecision(4) : "–");
  put("change", misfits.length > 1 && misfits[0] > 0 ? `${misfits[0].toPrecision(3)} at first` : "");
  put("rate", rate ? (rate >= 1 ? `${rate.toPrecision(3)} / s` : `${said(1 / rate)} each`) : "–");
  put("each", rate ? `${Math.round(rate * views).toLocaleString("en")} views / s` : "");
  put("left", over || grows ? "–" : left === null || left === undefined ? "…" : `${exact ? "" : "≤ "}${said(left)}`);
  put("elapsed", elapsed === undefined ? "" : `${said(elapsed)} so far`);
  put("views", views === undefined ? (p ? String(p.views) : "–") : String(views));
  put("window", grows ? `growing; the last came ${said(found.growing)} ago` : p ? `of ${p.window} × ${p.window} px` : "");
  age();
}

/** Say how far the picture is behind the run. */
function age() {
  if (!facts.picture) return;
  const over = !["running", "paused", "stopping"].includes(facts.state), behind = (facts.iteration ?? 0) > facts.picture.iteration;
  put("lag", over || !behind ? "none" : said((performance.now() - taken) / 1000));
  put("lag-more", `picture of iteration ${facts.picture.iteration}`);
}

async function fetchObject(p) {
  const box = view.box, lit = p.lit, asked = { most: MOST, slice };
  const whole = !box;
  const margin = whole ? 0 : 0.3;
  Object.assign(asked, whole ? { top: lit[0], bottom: lit[1], left: lit[2], right: lit[3] } : {
    top: Math.floor(Math.max(0, box.top - margin * box.height)), bottom: Math.ceil(Math.max(1, box.top + (1 + margin) * box.height)),
    left: Math.floor(Math.max(0, box.left - margin * box.width)), right: Math.ceil(Math.max(1, box.left + (1 + margin) * box.width)),
  });
  const found = await part("/object", asked);
  for (const one of pictures) one.take({ ...found, whole, lit, frame: p.shape }, p.pixel);
}

async function fetchRest(p) {
  const probe = await part("/probe", { most: 192 }), [count, n] = probe.shape, place = document.querySelector(".modes");
  place.classList.toggle("one", count === 1);
  while (place.children.length > count) place.lastChild.remove();
  while (place.children.length < count) place.insertAdjacentHTML("beforeend", "<figure><canvas></canvas><figcaption></figcaption></figure>");
  for (let k = 0; k < count; k++) {
    const own = probe.numbers.subarray(2 * k * n * n, 2 * (k + 1) * n * n);
    let most = 1;
    for (let i = 0; i < own.length; i += 2) most = Math.max(most, Math.hypot(own[i], own[i + 1]));
    drawMode(place.children[k].firstElementChild, own, n, most);
    place.children[k].lastElementChild.textContent = `${(100 * p.powers[k]).toFixed(p.powers[k] > 0.0995 ? 0 : 1)} %`;
  }
  put("modes", `${p.powers.length} mode${p.powers.length > 1 ? "s" : ""}, hue is phase`);
  positions = new Float32Array(await (await get("/positions")).arrayBuffer());
  drawScan(p);
}

function drawScan(p) {
  if (!positions) return;
  const moved = drawPositions(el("scan").querySelector("canvas"), positions, p.shape, p.pixel);
  put("moved", moved > 1e-3 ? `moved by ${moved.toPrecision(2)} px on average (grey: nominal)` : "as measured");
}

function chooseSlice(p) {
  const tools = el("magnitude").querySelector(".tools");
  if (p.slices < 2 || tools.querySelector(".slice")) return;
  tools.insertAdjacentHTML("afterbegin", `<select class="slice" aria-label="Which ${p.layer} of the object">${p.layer === "slice" ? `<option value="-1">product</option>` : ""}${
    Array.from({ length: p.slices }, (_, k) => `<option value="${k}">${p.layer} ${k + 1}</option>`).join("")}</select>`);
  tools.querySelector(".slice").onchange = (event) => { slice = +event.target.value; for (const one of pictures) one.limits = one.turn = null; fetchObject(p).catch(lost); };
}

async function order(what) {
  try {
    const answer = await fetch(address(`/${what}`), { method: "POST" });
    if (!answer.ok) throw new Error(await answer.text());
  } catch (error) {
    el("note").hidden = false; el("note").className = "failed"; put("note", error.message);
  }
}

function lost(error) {
  put("state", error.status === 403 ? "refused" : "connection lost");
  el("state").className = "state lost";
  if (error.status) { el("note").hidden = false; el("note").className = "failed"; put("note", error.message); }
  for (const id of ["pause", "save", "stop"]) el(id).hidden = true;
}

async function follow() {
  for (;;) {
    try {
      facts = await (await get("/status", { after: facts.number })).json();
      show(facts);
      const p = facts.picture;
      if (p && (p.serial !== serial)) {
        chooseSlice(p);
        await fetchObject(p);
        await fetchRest(p);
        [serial, taken] = [p.serial, performance.now()];
        age();
      }
    } catch (error) {
      lost(error);
      facts.number = -1;
      await new Promise((go) => setTimeout(go, 2000));
    }
  }
}

// Where the part that is there is too coarse or too small for what is looked at, another one is fetched.
view.listeners.push(() => {
  clearTimeout(refetch);
  refetch = setTimeout(() => facts.picture && fetchObject(facts.picture).catch(lost), 150);
});
window.addEventListener("resize", () => { pictures.forEach((one) => one.draw()); if (facts.curve) drawCurve(el("curve").querySelector("canvas"), facts.curve); if (facts.picture) drawScan(facts.picture); });
el("pause").onclick = () => order(facts.state === "paused" ? "go_on" : "pause");
el("save").onclick = () => order("save");
el("stop").onclick = () => { if (confirm("End the run after the turn under way? Its state is kept.")) order("stop"); };
setInterval(age, 500);
follow();
