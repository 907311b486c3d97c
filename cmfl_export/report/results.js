// Rows as cards with filters, orders and details: a page fills `results.html.jinja` with it.
"use strict";

const PER_PAGE = 60;
const PLACES = ["in the upper left", "at the top", "in the upper right", "on the left", "in the centre",
  "on the right", "in the lower left", "at the bottom", "in the lower right"];

const element = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const collator = new Intl.Collator("en", { numeric: true });

let results; // see showResults
let matching = [];
let page = 0;
let shown = -1; // place in `matching` of the image in the dialog

// Text always goes in as text: file names are whatever their authors wanted them to be.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const score = (value) => (value < 0.0005 ? "<0.001" : value >= 0.9995 ? ">0.999" : value.toFixed(3));
// The ends of the band; without one both are the threshold.
const ends = () => results.band ?? [results.threshold, results.threshold];
const call = (value) => (value >= ends()[1] ? "real" : value < ends()[0] ? "synthetic" : "uncertain");
const verdict = (row) => row.decision ?? row.status;
const heads = (row) => [results.branches ? "Joint" : "Score", "RGB", "Spectrum"]
  .map((name, head) => [name, row.scores[head]]).filter(([, value]) => value !== null);

// ---- which rows, in what order ----

const lowest = (head) => (row) => row.scores[head] ?? Infinity;
const highest = (value) => (row) => -(value(row) ?? -Infinity);
const difference = (row) => (row.scores[1] === null || row.scores[2] === null
  ? null : Math.abs(row.scores[1] - row.scores[2]));
const byKey = (key) => (a, b) => {
  const [x, y] = [key(a), key(b)];
  return x < y ? -1 : x > y ? 1 : a.number - b.number;
};
const ORDERS = {
  suspicious: byKey(lowest(0)),
  real: byKey(highest((row) => row.scores[0])),
  rgb: byKey(lowest(1)),
  spectrum: byKey(lowest(2)),
  difference: byKey(highest(difference)),
  path: (a, b) => collator.compare(a.path, b.path) || a.number - b.number,
  number: byKey((row) => row.number),
};

function offerStatuses() {
  const offered = new Set(Array.from(element("status").options, (option) => option.value));
  const found = new Set(results.rows.map((row) => row.status));
  for (const status of found) {
    if (!offered.has(status)) element("status").append(make("option", { value: status }, status));
  }
}

function findMatching() {
  offerStatuses();
  const text = element("text").value.toLowerCase();
  const decision = element("decision").value;
  const status = element("status").value;
  const low = element("low").valueAsNumber || 0;
  const high = Number.isNaN(element("high").valueAsNumber) ? 1 : element("high").valueAsNumber;
  const ranged = low > 0 || high < 1;
  const differing = element("disagree").checked;
  const outside = element("outside").checked;
  matching = results.rows.filter((row) =>
    (!decision || row.decision === decision)
    && (!status || row.status === status)
    && (!ranged || (row.scores[0] !== null && row.scores[0] >= low && row.scores[0] <= high))
    && (!differing || row.disagree)
    && (!outside || row.outside)
    && (!text || row.path.toLowerCase().includes(text)));
  matching.sort(ORDERS[element("sort").value]);
}

function update() {
  findMatching();
  show(0);
}

// ---- one page of cards ----

const pages = () => Math.max(1, Math.ceil(matching.length / PER_PAGE));

function show(number) {
  page = Math.min(Math.max(number, 0), pages() - 1);
  const start = page * PER_PAGE;
  const rows = matching.slice(start, start + PER_PAGE);
  element("cards").replaceChildren(...rows.map((row) => card(row)));
  count();
}

// What is the same when rows were added stays as it is, with the focus that it may have.
function showAdded() {
  const [row, focused] = [matching[shown], document.activeElement];
  findMatching();
  shown = matching.indexOf(row);
  const cards = element("cards");
  const before = new Map(Array.from(cards.children, (made) => [made.row, made]));
  const rows = matching.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
  const made = rows.map((each) => before.get(each) ?? card(each));
  if (Array.from(cards.children).every((each, place) => each === made[place])) {
    cards.append(...made.slice(cards.children.length));
  } else {
    cards.replaceChildren(...made);
    if (cards.contains(focused)) focused.focus({ preventScroll: true });
  }
  count();
  if (element("detail").open) announcePlace();
}

function count() {
  const start = page * PER_PAGE;
  const rows = matching.slice(start, start + PER_PAGE);
  const of = matching.length === results.rows.length
    ? `${whole.format(matching.length)}`
    : `${whole.format(matching.length)} that match, of ${whole.format(results.rows.length)} in all`;
  element("count").textContent = rows.length
    ? `${whole.format(start + 1)} to ${whole.format(start + rows.length)} of ${of}`
    : `None of ${whole.format(results.rows.length)} matches`;
  for (const pager of document.querySelectorAll(".pager")) {
    pager.hidden = pages() === 1;
    const [previous, field, last, next] = pager.controls;
    field.value = page + 1;
    field.max = pages();
    last.textContent = `of ${whole.format(pages())}`;
    previous.setAttribute("aria-disabled", page === 0);
    next.setAttribute("aria-disabled", page === pages() - 1);
  }
}

function card(row) {
  const saved = results.picture(row);
  const face = saved
    ? make("img", { src: saved.image, alt: `${row.name} as the model saw it`, width: 224, height: 224 })
    : make("span", { class: "none" }, row.decision ? "No picture here" : row.error || row.status);
  const label = `Details of ${row.name}: ${verdict(row)}${row.decision ? `, P(real) ${score(row.scores[0])}` : ""}`;
  const open = make("button", { type: "button", class: "open", "aria-label": label, "aria-haspopup": "dialog" }, face);
  open.addEventListener("click", () => detail(matching.indexOf(row)));
  const text = make("div", { class: "card-text" }, make("div", { class: "verdict" }, badge(row), ...(
    row.decision ? [make("strong", {}, score(row.scores[0]))] : [])));
  for (const [name, value] of heads(row).slice(1)) {
    text.append(make("div", { class: "score" }, make("span", {}, name), make("span", {}, score(value)), bar(value)));
  }
  text.append(...marks(row));
  const [source] = row.said?.filter(([name]) => name === "Generator" || name === "Source type").reverse() ?? [];
  if (source) text.append(make("span", { class: "differ" }, "The file says: ", make("bdi", {}, source[1])));
  text.append(make("bdi", { class: "path", title: row.path }, row.name));
  return Object.assign(make("li", { class: "card" }, open, text), { row });
}

// What a reader of the score has to know.
const marks = (row) => [
  ...(row.disagree ? [make("span", { class: "differ" }, "Branches disagree")] : []),
  ...(row.outside ? [make("span", { class: "differ" }, "Out of domain")] : []),
];

const badge = (row) => make("span", { class: `badge ${row.decision ?? "failed"}` }, verdict(row));

function bar(value) {
  const made = make("span", { class: `bar ${call(value)}`, "aria-hidden": "true" });
  made.style.setProperty("--share", `${value * 100}%`);
  const [low, high] = ends();
  made.style.setProperty("--low", `${low * 100}%`);
  made.style.setProperty("--high", `${high * 100}%`);
  return made;
}

function addPager(pager) {
  const turn = (by) => {
    show(page + by);
    if (pager.previousElementSibling.id === "cards") {
      element("results").focus({ preventScroll: true });
      element("filters").scrollIntoView();
    }
  };
  const previous = make("button", { type: "button", "aria-label": "Previous page" }, "Previous");
  const next = make("button", { type: "button", "aria-label": "Next page" }, "Next");
  const field = make("input", { type: "number", min: 1, value: 1 });
  const last = make("span");
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  field.addEventListener("change", () => turn((field.valueAsNumber || 1) - 1 - page));
  pager.controls = [previous, field, last, next];
  pager.append(previous, make("label", {}, "Page ", field), last, next);
}

// ---- the dialog ----

function detail(place) {
  shown = place;
  const row = matching[place];
  const saved = results.picture(row);
  element("detail-name").replaceChildren(make("bdi", {}, row.name));
  const path = make("bdi", { class: "path" }, row.path);
  element("detail-path").replaceChildren(
    row.link ? make("a", { href: row.link, target: "_blank", rel: "noreferrer" }, path) : path);
  element("detail-path").hidden = !row.link && row.path === row.name;
  announcePlace();
  element("detail-pictures").replaceChildren(...pictures(row, saved));
  element("detail-controls").hidden = !saved || Object.keys(saved.heatmaps).length === 0;
  element("detail-scores").replaceChildren(...(row.decision ? [scoreTable(row)] : []), ...said(row));
  const dialog = element("detail");
  if (!dialog.open) dialog.showModal();
}

function announcePlace() {
  const [row, place] = [matching[shown], shown];
  element("detail-place").replaceChildren(
    `${whole.format(place + 1)} of ${whole.format(matching.length)}, input ${whole.format(row.number)} `, badge(row),
    row.decision ? ` P(real) ${score(row.scores[0])}` : "",
    ...marks(row).flatMap((mark) => [" ", mark]),
    Number.isFinite(row.domain) ? ` domain ${row.domain}` : "",
    // A score may have a warning, as that of a small face.
    row.decision && row.error ? ` ${row.error}` : "");
  element("previous").setAttribute("aria-disabled", place === 0);
  element("next").setAttribute("aria-disabled", place === matching.length - 1);
}

function pictures(row, saved) {
  if (!saved) {
    return [make("p", { class: "note" }, row.error || results.whyNoPicture(row))];
  }
  const made = [stack(saved.image, `${row.name} as the model saw it`, "The image as the model saw it", saved, "rgb")];
  if (saved.spectrum || saved.heatmaps.spectrum) {
    made.push(stack(saved.spectrum, `Spectrum of ${row.name}`, "Its spectrum", saved, "spectrum"));
  }
  return made;
}

function stack(source, alt, caption, saved, branch) {
  const box = make("div", { class: "stack" });
  if (source) box.append(make("img", { src: source, alt }));
  const text = [caption];
  if (saved.heatmaps[branch]) {
    const levels = saved.heatmaps[branch];
    box.append(heatmap(levels, saved.peaks[branch], branch));
    text.push(`heatmap of the ${branch === "rgb" ? "RGB" : "spectrum"} branch, ${strongest(levels)}`);
  }
  return make("figure", {}, box, make("figcaption", {}, `${text.join("; ")}.`));
}

function heatmap(levels, peak, branch) {
  const small = make("canvas", { width: 14, height: 14 });
  const share = element("common").checked ? peak / results.peaks[branch] : 1;
  const image = new ImageData(14, 14);
  levels.forEach((level, place) => {
    const at = 4 * Math.round(level * share);
    image.data.set(results.colours.subarray(at, at + 4), 4 * place);
  });
  small.getContext("2d").putImageData(image, 0, 0);
  const large = make("canvas", { width: 448, height: 448, "aria-hidden": "true", class: "heat" });
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = true;
  context.drawImage(small, 0, 0, 448, 448);
  large.style.opacity = element("opacity").value / 100;
  return large;
}

function strongest(levels) {
  const at = levels.indexOf(Math.max(...levels));
  if (!levels[at]) return "no evidence anywhere";
  const third = (place) => Math.min(2, Math.floor(place / 14 * 3));
  return `strongest ${PLACES[3 * third(Math.floor(at / 14)) + third(at % 14)]}`;
}

function scoreTable(row) {
  const body = make("tbody");
  for (const [name, value] of heads(row)) {
    body.append(make("tr", {}, make("th", { scope: "row" }, name), make("td", { class: "number" }, value.toFixed(6)),
      make("td", { class: "wide" }, bar(value)), make("td", {}, call(value))));
  }
  const titles = [["Score", ""], ["P(real)", "number"], [limits(), ""], ["Side", ""]];
  const head = make("thead", {}, make("tr", {}, ...titles.map(([title, kind]) => make("th", { scope: "col", class: kind }, title))));
  return make("table", {}, make("caption", { class: "hidden" }, "Scores"), head, body);
}

function said(row) {
  if (!row.said?.length) return [];
  const facts = row.said.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, text))));
  return [make("dl", { class: "facts" }, ...facts)];
}

function limits() {
  const [low, high] = ends().map((end) => +end.toPrecision(4));
  return results.band ? `Uncertain from ${low} to ${high}` : `Threshold ${low}`;
}

function step(by) {
  const place = shown + by;
  if (place >= 0 && place < matching.length) detail(place);
}

function redraw() {
  element("detail-pictures").replaceChildren(...pictures(matching[shown], results.picture(matching[shown])));
}

// ---- wiring ----

/**
 * Shows rows; `showAdded` shows those that were added to `rows` since.
 *
 * given: {threshold, band: null or [low, high] of the scores that are uncertain, branches: bool,
 *   domain: bool or undefined, colours: 256 times red, green, blue, opacity,
 *   peaks: the largest value of any heatmap, by branch,
 *   rows: [{number, path, name, scores: [joint, rgb, spectrum], decision, status, error, disagree, link,
 *     domain: number, null or undefined, outside: bool or undefined,
 *     said: names and texts of what else is known, or undefined}],
 *   picture: (row) => null or {image, spectrum: addresses, heatmaps: 196 levels by branch, peaks},
 *   whyNoPicture: (row) => text}
 */
function showResults(given) {
  results = given;
  if (!results.branches) {
    element("disagree-box").hidden = true;
    for (const order of ["rgb", "spectrum", "difference"]) document.querySelector(`#sort [value=${order}]`)?.remove();
  }
  element("outside-box").hidden = !results.domain;
  // Rows of an earlier run may be uncertain, too.
  const uncertain = results.band || results.rows.some((row) => row.decision === "uncertain");
  if (!uncertain) document.querySelector("#decision [value=uncertain]")?.remove();
  update();
}

document.querySelectorAll(".pager").forEach(addPager);
// A text field changes once more when it loses the focus; new cards under the pointer would swallow the click.
element("filters").addEventListener("input", (event) => event.target.tagName === "SELECT" || update());
element("filters").addEventListener("change", (event) => event.target.tagName !== "SELECT" || update());
element("filters").addEventListener("submit", (event) => event.preventDefault());
element("start-over").addEventListener("click", () => {
  element("filters").reset();
  update();
});
element("previous").addEventListener("click", () => step(-1));
element("next").addEventListener("click", () => step(1));
element("close").addEventListener("click", () => element("detail").close());
element("opacity").addEventListener("input", () => {
  for (const canvas of document.querySelectorAll(".heat")) canvas.style.opacity = element("opacity").value / 100;
});
element("common").addEventListener("input", redraw);
element("detail").addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!by || event.target.type === "range" || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  step(by);
});
element("detail").addEventListener("click", (event) => {
  if (event.target === element("detail")) element("detail").close();
});
element("detail").addEventListener("close", () => {
  // The image that was looked at last may be on another page than the first.
  if (Math.floor(shown / PER_PAGE) !== page) show(Math.floor(shown / PER_PAGE));
  element("cards").children[shown % PER_PAGE].querySelector("button").focus();
});
document.querySelector(".needs-script").hidden = false;
