// Names of segments that can be read.
import { CANVAS, page } from "./page.js";

// FiftyOne writes a name above its segment's box, in white, and has no setting for either: 28 % of
// the names were cut off by an edge of the canvas, or under another name. Those are moved, and
// names on bright colours are dark.
const pen = CanvasRenderingContext2D.prototype;
const { clearRect, fill, fillText } = pen;
const filled = new WeakMap(); // the colour that each canvas was painted with last
const drawn = new WeakMap(); // the names that each canvas has since it was cleared
const besideOthers = (canvas, left, base, width, size) => { // where the name covers no other one
  const names = drawn.get(canvas) ?? [];
  drawn.set(canvas, names);
  let free = left;
  for (const other of names) {
    const isOver = free < other.right && free + width > other.left;
    if (isOver && Math.abs(other.base - base) < size) free = other.right;
  }
  names.push({ left: free, right: free + width, base });
  return free;
};
const isBright = (color) => {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue > 150;
};
pen.clearRect = function (...given) {
  drawn.delete(this.canvas);
  return clearRect.apply(this, given);
};
pen.fill = function (...given) {
  filled.set(this, this.fillStyle);
  return fill.apply(this, given);
};
pen.fillText = function (text, x, y, ...more) {
  const color = filled.get(this);
  const isName = page.isOurs && /^#[0-9a-f]{6}$/.test(color ?? "") && this.canvas.isConnected &&
    this.canvas.closest(CANVAS);
  if (!isName) return fillText.call(this, text, x, y, ...more);
  const [width, size] = [this.measureText(text).width, parseFloat(this.font.match(/[\d.]+px/))];
  const pad = size / 3;
  const right = this.canvas.width / this.getTransform().a;
  const base = Math.max(y, size + pad);
  const inside = Math.max(pad, Math.min(x, right - width - pad));
  const free = besideOthers(this.canvas, inside, base, width + 2 * pad, size + pad);
  const left = free + width > right ? inside : free;
  const before = this.fillStyle;
  if (left !== x || base !== y) {
    this.fillStyle = color;
    this.fillRect(left - pad, base - size - pad, width + 2 * pad, size + 2 * pad);
  }
  this.fillStyle = isBright(color) ? "#101010" : before;
  fillText.call(this, text, left, base, ...more);
  this.fillStyle = before;
};
