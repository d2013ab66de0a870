"use strict";
// What the page says, what the reader has chosen, and one card per image. Pixels: html_report_layers.js.

const report = JSON.parse(document.getElementById("data").textContent);
const chosen = { classes: new Set() }; // the controls' values come beside it, see choose()
const controls = document.getElementById("controls");
const tip = document.getElementById("tip");
const wide = matchMedia("(min-width: 900px)");
const NOTHING = "–";
const cards = report.images.map((image, place) => ({
  image, place,
  element: null, frames: [], // frames: {element, canvas, picture, layer}; layer -1 is the bare picture
  near: false,       // in view, or soon
  maps: null,        // for each layer the segment place of each pixel, 0 = unlabelled; null: not loaded
  lit: [],           // for each layer the place of the segment that is pointed at
}));

function node(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

function swatch(index) {
  const element = node("span", "swatch");
  element.style.background = `rgb(${report.classes[index].color})`;
  return element;
}

// ---- which segments and images are shown

const scoreMatters = () => chosen.low > 0 || chosen.high < 1;

function isShown(segment) {
  return (!chosen.classes.size || chosen.classes.has(segment.class))
    && (!chosen.state || segment.state === chosen.state)
    && (segment.score === null || (segment.score >= chosen.low && segment.score <= chosen.high));
}

function isWanted(image) {
  if (!image.name.toLowerCase().includes(chosen.words)) return false;
  if (!chosen.classes.size && !chosen.state && !scoreMatters()) return true;
  const counts = (segment) => isShown(segment) && (segment.score !== null || !scoreMatters());
  return image.layers.some((layer) => layer.segments.some(counts));
}

const scoresOf = (image) =>
  image.layers.flatMap((layer) => layer.segments.map((s) => s.score)).filter((score) => score !== null);

/** Name of each order -> number or text of an image; the smallest comes first, null last. */
function orders() {
  const keys = new Map([[report.order, (card) => card.place]]);
  for (const { image } of cards) {
    for (const { name, worst } of image.figures) {
      if (!worst) continue;
      keys.set(`${name}, ${worst} first`, (card) => {
        const value = card.image.figures.find((figure) => figure.name === name)?.value ?? null;
        return value !== null && worst === "highest" ? -value : value;
      });
    }
  }
  if (cards.some((card) => scoresOf(card.image).length)) {
    keys.set("least sure segment first", (card) => {
      const scores = scoresOf(card.image);
      return scores.length ? Math.min(...scores) : null;
    });
  }
  return keys.set("file name", (card) => card.image.name);
}
const orderKeys = orders();

function arrange() {
  const keys = new Map(cards.map((card) => [card, orderKeys.get(chosen.order)(card)]));
  const rank = (card, other) => {
    const [a, b] = [keys.get(card), keys.get(other)];
    if (a === b) return card.place - other.place;
    if (a === null || b === null) return a === null ? 1 : -1;
    return a < b ? -1 : 1;
  };
  document.getElementById("images").append(...[...cards].sort(rank).map((card) => card.element));
}

function applyFilters() {
  let images = 0;
  for (const card of cards) {
    const wanted = isWanted(card.image);
    card.element.hidden = !wanted;
    images += wanted;
    repaint(card);
  }
  document.getElementById("count").value = `${images} of ${cards.length} images`;
}

// ---- a card: one image

function makeCard(card) {
  const { image } = card;
  const head = node("header", "", node("h2", "", image.name));
  if (image.state) head.append(node("span", "state", image.state));
  for (const { name, text } of image.figures) head.append(node("span", "figure", `${name} `, node("b", "", text)));
  card.panes = node("div", "panes");
  card.element = node("article", "", head, card.panes);
  if (image.notes.length) card.element.append(node("ul", "", ...image.notes.map((note) => node("li", "", note))));
  card.list = node("details", "segments", node("summary", "", "Segments"));
  card.list.addEventListener("toggle", () => card.list.childElementCount === 1 && card.list.append(segmentList(card)));
  card.element.append(card.list);
}

function segmentList(card) {
  const columns = card.image.layers.map((layer, index) => {
    const rows = layer.segments.map((segment, at) => {
      const row = node("button", "segment", swatch(segment.class),
        node("span", "words", report.classes[segment.class].name, " ", node("small", "", details(segment))),
        node("span", "number", segment.score === null ? NOTHING : segment.score.toFixed(2)));
      row.type = "button";
      for (const event of ["mouseenter", "focus"]) row.addEventListener(event, () => light(card, index, at + 1));
      for (const event of ["mouseleave", "blur"]) row.addEventListener(event, () => light(card, index, 0));
      return row;
    });
    return node("section", "", node("h3", "", `${layer.name}: ${rows.length}`), ...rows);
  });
  return node("div", "", ...columns);
}

function details(segment) {
  const second = segment.second === null || segment.margin === null ? ""
    : `, else ${report.classes[segment.second].name} (margin ${segment.margin.toFixed(2)})`;
  const share = segment.share < 0.001 ? "< 0.1" : (100 * segment.share).toFixed(1);
  const note = segment.note ? `; note: ${segment.note}` : "";
  return `${segment.state}, ${share}\u00a0%${second}${note}`;
}

/** Which layer the overlay shows: the chosen one, else the image's last. */
function overlayLayer(image) {
  if (chosen.layer === "") return -1;
  const found = image.layers.findIndex((layer) => layer.name === chosen.layer);
  return found < 0 ? image.layers.length - 1 : found;
}

function makeFrames(card) {
  const { image } = card;
  const wanted = chosen.view === "overlay" ? [overlayLayer(image)] : [...(image.picture ? [-1] : []), ...image.layers.keys()];
  card.frames = wanted.map((layer) => {
    const frame = { layer, picture: node("img"), canvas: node("canvas"), element: node("div", "frame") };
    frame.picture.alt = "";
    frame.picture.hidden = true;
    frame.canvas.width = frame.canvas.height = 0;
    frame.element.append(frame.picture, frame.canvas);
    frame.element.style.aspectRatio = `${image.width} / ${image.height}`;
    frame.element.style.setProperty("--fitting", `calc(78vh * ${image.width} / ${image.height})`);
    frame.element.addEventListener("pointermove", (event) => point(card, frame, event));
    frame.element.addEventListener("pointerdown", (event) => point(card, frame, event));
    frame.element.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && unpoint());
    return frame;
  });
  card.panes.className = `panes${wanted.length === 2 ? " pair" : ""}${wanted.length % 2 ? " odd" : ""}`;
  card.panes.style.setProperty("--panes", wanted.length);
  card.panes.replaceChildren(...card.frames.map((frame) => {
    const name = frame.layer < 0 ? "picture" : image.layers[frame.layer].name;
    return node("figure", "", node("figcaption", "", name), frame.element);
  }));
  card.list.open = false;
  if (card.near) fillFrames(card);
}

// ---- the controls

function layerSwitch() {
  const images = new Map(); // name of a layer -> number of images that have it
  for (const { layers } of report.images) for (const { name } of layers) images.set(name, (images.get(name) ?? 0) + 1);
  const names = [...images.keys()], first = names.find((name) => images.get(name) === Math.max(...images.values()));
  const fieldset = document.getElementById("layers");
  for (const [value, words] of [["", "none"], ...names.map((name) => [name, name])]) {
    const input = node("input");
    Object.assign(input, { type: "radio", name: "layer", value, checked: value === (first ?? "") });
    fieldset.append(node("label", "", input, node("span", "", words)));
  }
  document.getElementById("differences").hidden = names.length < 2;
}

function legend() {
  const images = new Map();
  for (const image of report.images) {
    const classes = new Set(image.layers.flatMap((layer) => layer.segments.map((segment) => segment.class)));
    for (const index of classes) images.set(index, (images.get(index) ?? 0) + 1);
  }
  const byName = (a, b) => report.classes[a].name.localeCompare(report.classes[b].name, undefined, { numeric: true });
  for (const index of [...images.keys()].sort(byName)) {
    const button = node("button", "class", swatch(index), report.classes[index].name, node("small", "", `${images.get(index)}`));
    button.type = "button";
    button.ariaPressed = "false";
    button.addEventListener("click", () => {
      const on = chosen.classes.delete(index) ? false : Boolean(chosen.classes.add(index));
      button.ariaPressed = `${on}`;
      applyFilters();
    });
    document.getElementById("classes").append(button);
  }
}

function options(select, names) {
  for (const name of names) select.append(new Option(name, name));
}

function choose() {
  const before = { ...chosen };
  const values = new FormData(controls);
  for (const name of ["view", "layer", "order", "state"]) chosen[name] = values.get(name) ?? "";
  chosen.words = values.get("words").toLowerCase();
  chosen.opacity = Number(values.get("opacity"));
  chosen.low = Number(values.get("low") || 0);
  chosen.high = Number(values.get("high") || 1);
  for (const name of ["names", "differences"]) chosen[name] = values.has(name);
  document.body.className = chosen.view;
  document.getElementById("layers").hidden = chosen.view !== "overlay";
  if (chosen.order !== before.order) arrange();
  if (chosen.view !== before.view || (chosen.layer !== before.layer && chosen.view === "overlay")) cards.forEach(makeFrames);
  unpoint();
  applyFilters();
}

/** Clear filters, and leave the view as it is. */
function clearFilters(event) {
  event.preventDefault();
  for (const name of ["differences", "low", "high", "state", "words"]) {
    const control = controls.elements[name];
    control.type === "checkbox" ? control.checked = false : control.value = control.defaultValue ?? "";
  }
  chosen.classes.clear();
  document.querySelectorAll(".class").forEach((button) => { button.ariaPressed = "false"; });
  choose();
}

controls.elements.view.value = wide.matches ? "side" : "overlay";
layerSwitch();
legend();
options(controls.elements.order, orderKeys.keys());
const states = new Set(report.images.flatMap((image) => image.layers.flatMap((layer) => layer.segments.map((s) => s.state))));
options(controls.elements.state, states);
document.getElementById("states").hidden = states.size < 2;
document.getElementById("filters").open = wide.matches;
cards.forEach(makeCard);
controls.addEventListener("input", choose);
controls.addEventListener("reset", clearFilters);
controls.addEventListener("submit", (event) => event.preventDefault());
addEventListener("scroll", unpoint, { passive: true });
addEventListener("keydown", (event) => {
  if (event.key === "Escape") unpoint();
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const layer = [...document.querySelectorAll("#layers input")][event.key];
  if (chosen.view === "overlay" && layer) layer.click();
});
choose();
cards.forEach((card) => { card.element.dataset.place = card.place; watcher.observe(card.element); });
