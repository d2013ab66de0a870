// One key for what people do most, while an image or a patch is open in the Explore tab. FiftyOne
// itself uses other keys there (f, s, x, z, arrows, space, +, -, ?).
import { CANVAS, FORM, PLUGIN, hidden, isBusy, openId, page } from "./page.js";

const { Operator, executeOperator, registerOperator } = window.__foo__;
const state = window.__fos__;
const PATIENCE = 60000; // ms; then the answer to a key was lost
let asked = null; // the key whose form is open
const KEYS = {
  a: ["accept_next"],
  d: ["reject_next"],
  2: ["second_next"],
  n: ["next_segment"],
  u: ["undo"],
  c: ["relabel", "label"], // it asks for this
  m: ["note", "note"],
};
// Escape takes away what our key selected. FiftyOne's own Escape is lost while it draws an image anew.
const CLEAR = ["clear_selected_labels"];
// A key waits until what the one before did has reached the page: it would act on the old segment.
const waiting = [];
// What our operator selected and opened. The App tells operators what it has drawn last, which may
// be late; so keys name it, until a person clicks or presses another key.
let shown = {};
const CLICKED = 100; // ms, for the App to select what was clicked
window.addEventListener("pointerdown", ({ target }) => {
  if (!target.closest?.(CANVAS)) shown = {};
}, true);
window.addEventListener("click", ({ target }) => {
  const before = shown;
  shown = {};
  if (!before.segment || !target.closest?.(CANVAS)) return;
  work();
  window.setTimeout(() => executeOperator(`${PLUGIN}/only_clicked`, before), CLICKED);
}, true);
let working = null; // the timer that ends the patience, while one of our operators works
const work = () => { working = window.setTimeout(goOn, PATIENCE); };
const goOn = () => {
  window.clearTimeout(working);
  working = null;
  if (waiting.length && !closing) start(waiting.shift());
};
const run = (name, params) => {
  work();
  executeOperator(`${PLUGIN}/${name}`, params);
};
const start = (key) => {
  const [name, field] = key;
  asked = field ? key : null;
  if (key === CLEAR) {
    executeOperator(name);
    shown = { open: shown.open };
    goOn();
  } else if (field) executeOperator(`${PLUGIN}/ask`, { operator: `${PLUGIN}/${name}` });
  else run(name, shown);
};

const isWriting = (element) =>
  element?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element?.tagName);

window.addEventListener("keydown", (event) => {
  if (event.key === "Escape") asked = null;
  const isEnter = event.key === "Enter";
  const isForm = page.isOurs && isEnter && asked && event.target.matches?.(FIELD);
  if (isForm || (typed !== null && (isEnter || event.key.length === 1))) {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (typed === null && !closing) confirm();
    else if (typed === null) return; // it is answered
    else if (isSent) waiting.push(...(KEYS[event.key] ? [KEYS[event.key]] : []));
    else if (isEnter) isSent = true;
    else typed += event.key;
    return;
  }
  const isOfOurs = event.key === "Escape" && (working || closing || shown.segment);
  const key = isOfOurs ? CLEAR : KEYS[event.key];
  const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
  const isHere = openId() || event.key === "n"; // which opens the first image from the grid
  const isTaken = !closing && (isWriting(event.target) || isBusy()); // the key is not for us
  if (!key && !isTaken) shown = {};
  if (!key || !isPlain || !page.isOurs || !isHere || isTaken) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (key[1]) typed = ""; // letters are for its form from now on
  if (working || closing) waiting.push(key);
  else start(key);
}, true);

const FIELD = `${FORM} input:not([type="hidden"]), ${FORM} textarea`;
let closing = false; // a form of ours was answered, and is still in the page
let typed = null; // letters since a key asked for a form, until the form is there; null: none is
let isSent = false; // Enter came before the form was there, too
const found = async (look, patience = PATIENCE) => { // waits for what React takes its time over
  for (const until = Date.now() + patience; Date.now() < until;) {
    const it = look();
    if (it) return it;
    await new Promise((go) => window.setTimeout(go, 50));
  }
  return null;
};
const options = () => [...document.querySelectorAll('[role="listbox"] [role="option"]')];
let isMarked = false; // by an arrow key; the App itself always marks the first choice
const wanted = () => { // the marked choice, or else the one that is what was typed, begins so or has it
  const written = document.querySelector(FIELD)?.value.trim().toLowerCase() ?? "";
  const named = (fits) => options().find(({ textContent }) => fits(textContent.trim().toLowerCase()));
  const marked = options().find(({ classList }) => classList.contains("Mui-focused"));
  return (isMarked ? marked : null) ??
    named((name) => name.split(" = ")[0] === written) ?? // before: a synonym
    named((name) => name.startsWith(written)) ?? named((name) => name.includes(written));
};
const showWanted = () => { // what Enter would choose
  const it = asked ? wanted() : null;
  options().forEach((one) => { one.style.outline = one === it ? "1px solid" : ""; });
};
["input", "keyup"].forEach((event) => window.addEventListener(event, ({ key }) => {
  if (event === "input") isMarked = false;
  if (["ArrowDown", "ArrowUp"].includes(key)) isMarked = true;
  window.setTimeout(showWanted, 50);
}));
// Enter in a form. Its button "Execute" would act on what React knew of it, which may be late.
const confirm = async () => {
  const [name, field] = asked;
  closing = true;
  const value = name === "note" ? document.querySelector(FIELD)?.value
    : (await found(wanted, 3000))?.textContent;
  if (value === undefined) { // there is no such choice: the person types another one
    waiting.length = 0;
  } else {
    asked = null;
    const buttons = [...document.querySelectorAll(`${FORM} button`)];
    buttons.find((button) => button.textContent === "Cancel")?.click();
    await found(() => !document.querySelector(FORM));
    run(name, { ...shown, [field]: value });
  }
  closing = false;
};

class Ask extends Operator { // shows the form of another operator
  get config() { return hidden("ask"); }

  useHooks() {
    return { prompt: window.__foo__.usePromptOperatorInput() };
  }

  async execute({ hooks, params }) {
    hooks.prompt(params.operator);
    const field = await found(() => document.querySelector(FIELD));
    field?.focus();
    if (field && typed) { // what came before the form was there
      const { set } = Object.getOwnPropertyDescriptor(field.constructor.prototype, "value");
      set.call(field, typed);
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    typed = null;
    isMarked = false;
    if (isSent && asked) confirm();
    isSent = false;
  }
}

class Ready extends Operator { // what an operator did is in the page
  get config() { return hidden("ready"); }

  async execute({ params }) {
    shown = { segment: params.segment, open: params.open };
    goOn();
  }
}

class OnlyClicked extends Operator { // FiftyOne adds what is clicked to what our key had selected
  get config() { return hidden("only_clicked"); }

  async execute({ state: app, params: { segment, open } }) {
    const same = [{ field: "segments", labelId: segment, sampleId: open }]; // a click took it away
    app.set(state.selectedLabels, (selected) => {
      const others = selected.filter(({ labelId }) => labelId !== segment);
      return others.length ? others : same;
    });
    goOn();
  }
}

[Ask, Ready, OnlyClicked].forEach((one) => registerOperator(one, PLUGIN));
