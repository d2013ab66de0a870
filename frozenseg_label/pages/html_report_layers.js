"use strict";
// ---- loading, when an image comes near, and letting go, when it is far again

const receivers = new Map();
globalThis.receivePixels = (number, layers) => receivers.get(number)?.(layers);

function loadPixels({ image, place }) {
  return new Promise((resolve, reject) => {
    const script = node("script");
    receivers.set(place + 1, resolve);
    script.onload = () => script.remove();
    script.onerror = () => reject(new Error(`${image.pixels} is missing: the page needs its folder beside it`));
    script.src = image.pixels;
    document.head.append(script);
  });
}

/** Undo overlay.encode_places. */
async function decode(text, { width, height }) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(stream).arrayBuffer();
  const Places = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[buffer.byteLength / (width * height)];
  const places = new Places(buffer);
  for (let i = width; i < places.length; i++) places[i] ^= places[i - width];
  return places;
}

async function fillFrames(card) {
  if (chosen.view === "overlay" && wide.matches) card.list.open = true; // beside the picture
  for (const { picture } of card.frames) {
    if (!card.image.picture) continue;
    picture.src = card.image.picture;
    picture.hidden = false;
  }
  if (card.maps) return repaint(card);
  try {
    const texts = await loadPixels(card);
    const maps = await Promise.all(texts.map((text) => decode(text, card.image)));
    if (!card.near) return;
    card.maps = maps;
    repaint(card);
  } catch (error) {
    if (!card.trouble) card.element.append(card.trouble = node("p", "trouble", `No labels: ${error.message}`));
  }
}

function emptyFrames(card) {
  card.maps = null;
  for (const { element, picture, canvas } of card.frames) {
    picture.hidden = true;
    picture.removeAttribute("src");
    canvas.width = canvas.height = 0;
    element.replaceChildren(picture, canvas);
  }
}

const watcher = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    const card = cards[target.dataset.place];
    if (card.near === isIntersecting) continue;
    card.near = isIntersecting;
    isIntersecting ? fillFrames(card) : emptyFrames(card);
  }
}, { rootMargin: "100% 0px" });

// ---- painting

const waiting = new Set();

function repaint(card) {
  if (!card.near || !card.maps) return;
  if (!waiting.size) requestAnimationFrame(() => { waiting.forEach(paint); waiting.clear(); });
  waiting.add(card);
}

function paint(card) {
  if (!card.maps) return;
  for (const frame of card.frames) {
    if (frame.layer < 0) continue;
    paintLayer(card, frame);
    nameLayer(card, frame);
  }
}

const rgba = ([red, green, blue], alpha) => ((Math.round(255 * alpha) << 24) | (blue << 16) | (green << 8) | red) >>> 0;

function paintLayer({ image, maps, lit }, { canvas, layer }) {
  const { width, height, layers } = image;
  const places = maps[layer];
  const { segments } = layers[layer];
  const fill = new Uint32Array(segments.length + 1), edge = new Uint32Array(segments.length + 1);
  segments.forEach((segment, at) => {
    if (!isShown(segment)) return;
    const isLit = lit[layer] === at + 1, dim = lit[layer] && !isLit ? 0.3 : 1;
    fill[at + 1] = rgba(report.classes[segment.class].color, isLit ? Math.max(chosen.opacity, 0.7) : chosen.opacity * dim);
    edge[at + 1] = rgba(isLit ? [255, 225, 0] : [255, 255, 255], Math.min(1, 3 * chosen.opacity) * dim);
  });
  const same = sameClass(image, maps, layer);
  const thick = Math.max(1, Math.round(Math.max(width, height) / 400));
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height), out = new Uint32Array(pixels.data.buffer);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const place = places[i];
      if (!fill[place] || same?.(i)) continue;
      // Between two segments the one on the left or above has the line; beside unlabelled pixels the segment has.
      const onEdge = (x + thick < width && places[i + thick] !== place)
        || (y + thick < height && places[i + thick * width] !== place)
        || (x >= thick && !places[i - thick]) || (y >= thick && !places[i - thick * width]);
      out[i] = (onEdge ? edge : fill)[place];
    }
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** Whether a pixel has the same class in the first two layers; null where that is not asked. */
function sameClass(image, maps, layer) {
  if (!chosen.differences || image.layers.length < 2 || layer > 1) return null;
  const [one, two] = image.layers.slice(0, 2).map(({ segments }) => [-1, ...segments.map((s) => s.class)]);
  return (i) => one[maps[0][i]] === two[maps[1][i]];
}

/** Write the classes' names into a layer, the largest segment first, where there is room. */
function nameLayer({ image, maps }, { element, layer }) {
  element.querySelectorAll(".name").forEach((name) => name.remove());
  if (!chosen.names) return;
  const { width, height, layers } = image;
  const scale = element.clientWidth / width, same = sameClass(image, maps, layer);
  const taken = [];
  for (const segment of [...layers[layer].segments].sort((a, b) => b.share - a.share)) {
    if (!segment.spot || !isShown(segment)) continue;
    const [x, y, radius] = segment.spot;
    if (radius * scale < 6 || same?.(y * width + x)) continue;
    const words = report.classes[segment.class].name;
    const half = 3.9 * words.length + 4, room = element.clientWidth - half;
    const left = Math.max(half, Math.min(room, x * scale)), top = y * scale;
    if (room < half || taken.some((other) => Math.abs(other.left - left) < other.half + half && Math.abs(other.top - top) < 16)) continue;
    taken.push({ left, top, half });
    const name = node("span", "name", words);
    name.style.left = `${100 * left / element.clientWidth}%`;
    name.style.top = `${100 * y / height}%`;
    element.append(name);
  }
}

// ---- pointing at a segment

let pointed = null;

function light(card, layer, place) {
  if (place) card.lit[layer] = place; else card.lit = [];
  repaint(card);
}

function unpoint() {
  tip.hidden = true;
  if (!pointed) return;
  pointed.lit = [];
  repaint(pointed);
  pointed = null;
}

/** Say what every layer has at this pixel, and light it up there. */
function point(card, { element }, event) {
  if (!card.maps) return;
  const { width, height, layers } = card.image;
  const box = element.getBoundingClientRect();
  const x = Math.floor((event.clientX - box.left) / box.width * width);
  const y = Math.floor((event.clientY - box.top) / box.height * height);
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const found = layers.map(({ segments }, layer) => {
    const place = card.maps[layer][y * width + x];
    return place && isShown(segments[place - 1]) ? place : 0;
  });
  if (pointed !== card) unpoint();
  pointed = card;
  if (found.some((place, layer) => place !== (card.lit[layer] ?? 0))) {
    card.lit = found;
    repaint(card);
  }
  tip.replaceChildren(...layers.map(({ name, segments }, layer) => {
    const segment = segments[found[layer] - 1];
    if (!segment) return node("div", "", `${name}: ${NOTHING}`);
    const score = segment.score === null ? "" : ` ${segment.score.toFixed(2)}`;
    const words = `${name}: ${report.classes[segment.class].name}${score}, ${details(segment)}`;
    return node("div", "", swatch(segment.class), node("span", "", words));
  }));
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 18, above = event.clientY - tip.offsetHeight - 14;
  const bottom = innerHeight - tip.offsetHeight - 8; // where no finger hides it
  const top = event.pointerType === "touch" ? bottom : below > bottom ? above : below;
  tip.style.translate = `${Math.max(8, left)}px ${top}px`;
}
