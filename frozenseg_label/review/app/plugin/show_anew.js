// Our keys, readable names, and what lets the App fetch images again that an operator, another person
// or a save in a terminal changed.
// The App keeps every image that was open once as it was then. Without this, the next stroke in
// such an image would bring back what the operator removed. The grid and what left the view follow
// by FiftyOne's own reload.
(() => {
  const { Operator, OperatorConfig, executeOperator, registerOperator } = window.__foo__;
  const state = window.__fos__;
  const NAME = "@frozenseg-label/review/show_anew";
  const LOOK_EVERY = 4000; // ms, for what others changed
  const AT_ONCE = 200; // images that others changed, to ask for in one look
  const sampleQuery = `query ($dataset: String!, $view: BSONArray!, $id: String!) {
    sample(dataset: $dataset, view: $view, filter: { id: $id }) { ... on ImageSample { sample } }
  }`;
  const changedQuery = `query ($dataset: String!, $view: BSONArray!, $first: Int!) {
    samples(dataset: $dataset, view: $view, first: $first) {
      ... on SampleItemStrConnection { edges { node { ... on ImageSample { id sample } } } }
    }
  }`;
  const datasetQuery = `query ($dataset: String!) { dataset(name: $dataset) { id info } }`;
  const opened = new Set(); // ids of images; the page's address names the open one
  const mine = new Set(); // ids of images that this page changed since the last look
  let newest = null; // when the last change that this page knows was, ms
  let looked = null; // name of the dataset
  let isOurs = false; // the dataset that the page shows is one of our runs
  const openId = () => new URLSearchParams(window.location.search).get("id");
  // FiftyOne uses the colours of tags only while tags are ticked at the left, in the grid and beside
  // an image, and does not tick them as the dataset asks. People may take the tick away.
  const ticked = new Set();
  const tickTags = (place) => {
    if (!isOurs || ticked.has(place)) return;
    ticked.add(place);
    executeOperator("set_active_fields", { fields: ["_label_tags", "segments"] });
  };
  const note = () => {
    const id = openId();
    if (id) opened.add(id);
    tickTags(id ? "image" : "grid");
  };
  window.setInterval(note, 200);

  const ask = async (query, variables) => {
    const { data } = await window.__fou__.getFetchFunction()("POST", "/graphql", { query, variables });
    return data;
  };

  const hidden = (name) => // an operator that no list shows
    new OperatorConfig({ name, label: `Review: ${name}`, unlisted: true });

  class ShowAnew extends Operator {
    get config() { return hidden("show_anew"); }

    useHooks() {
      return {
        dataset: window.recoil.useRecoilValue(state.datasetName),
        view: window.recoil.useRecoilValue(state.view),
        update: state.useUpdateSamples(),
        refresh: state.useRefresh(),
      };
    }

    async execute({ hooks, params }) {
      if (!params.isOthers) (params.changed ?? []).forEach((id) => mine.add(id));
      const known = params.changed ? params.changed.filter((id) => opened.has(id)) : [...opened];
      const ids = new Set(known);
      if (params.open) ids.add(params.open);
      const { dataset, update, refresh } = hooks;
      for (const id of ids) {
        for (const view of [hooks.view, []]) { // an image may have left the view
          const data = await ask(sampleQuery, { dataset, view, id });
          if (!data?.sample) continue;
          update([[id, data.sample.sample]]);
          break;
        }
      }
      refresh();
    }
  }

  const FIELD = '[role="dialog"] input:not([type="hidden"]), [role="dialog"] textarea';
  let typed = null; // letters since a key asked for a form, until the form is there; null: none is
  let isSent = false; // Enter came before the form was there, too
  const found = async (look) => { // waits for what React takes its time over
    for (let count = 0; count < 200; count += 1) {
      const it = look();
      if (it) return it;
      await new Promise((go) => window.setTimeout(go, 50));
    }
    return null;
  };
  const execute = () => [...document.querySelectorAll('[role="dialog"] button')]
    .find((button) => button.textContent === "Execute" && !button.disabled);
  const confirm = async () => { // Enter in a form: the first choice that the letters leave, then Execute
    await found(() => document.querySelector('[role="option"]') ?? execute());
    const options = [...document.querySelectorAll('[role="listbox"] [role="option"]')];
    const marked = options.find((option) => option.classList.contains("Mui-focused"));
    (marked ?? options[0])?.click();
    asked = false;
    const button = await found(execute);
    if (button) work();
    button?.click();
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
      if (isSent) confirm();
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

  [ShowAnew, Ask, Ready].forEach((one) => registerOperator(one, "@frozenseg-label/review"));

  const stage = (name, ...kwargs) => ({ _cls: `fiftyone.core.stages.${name}`, kwargs });
  const changedSince = async (dataset, since) => { // ids of images, and when the last one changed
    const when = "last_modified_at";
    const view = [
      stage("Match", ["filter", { [when]: { $gt: { $date: since ?? 0 } } }]),
      stage("SortBy", ["field_or_expr", when], ["reverse", since === null], ["create_index", false]),
      stage("SelectFields", ["field_names", [when]]), // no masks
    ];
    const first = since === null ? 1 : AT_ONCE;
    const edges = (await ask(changedQuery, { dataset, view, first }))?.samples?.edges ?? [];
    const times = edges.map(({ node }) => node.sample[when]?.datetime ?? 0);
    return { ids: edges.map(({ node }) => node.id), last: Math.max(since ?? 0, ...times) };
  };
  const look = async () => {
    const dataset = decodeURIComponent(window.location.pathname.split("/datasets/")[1] ?? "");
    if (!dataset || document.hidden) return;
    if (dataset !== looked) { // the page may go from one dataset to another
      [looked, isOurs, newest] = [dataset, false, null];
    }
    if (!isOurs) {
      const found = (await ask(datasetQuery, { dataset }))?.dataset;
      isOurs = found?.info?.run_folder !== undefined;
      if (!isOurs) return;
      hideDetails([found.id, dataset]);
    }
    const { ids, last } = await changedSince(dataset, newest);
    const isFirst = newest === null;
    newest = last;
    const open = openId();
    const others = ids.filter((id) => !mine.has(id) && !(id === open && isBusy()));
    mine.clear();
    if (!isFirst && others.length) executeOperator(NAME, { changed: others, isOthers: true });
  };
  // A segment's tooltip has four lines: class, score, second class, state. FiftyOne hides what this
  // list names; a person shows it again with the tooltip's own button.
  const DETAILS = "area,changed,contested,disagreement,gain,id,index,instance,margin,note," +
    "sam_disagreement,segment_id,source,was";
  const hideDetails = (names) => {
    for (const name of names) {
      const key = `fo-hiddenLabels-${name}-segments`;
      if (localStorage.getItem(key) === null) localStorage.setItem(key, DETAILS);
    }
  };
  localStorage.setItem("fiftyone-enterprise-tooltip-seen", "true"); // as its own button "Dismiss" does

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
    const isName = isOurs && /^#[0-9a-f]{6}$/.test(color ?? "") && this.canvas.isConnected &&
      this.canvas.closest('[data-cy="modal-content"]');
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

  // One key for what people do most, while an image or a patch is open in the Explore tab. FiftyOne
  // itself uses other keys there (f, s, x, z, arrows, space, +, -, ?).
  let asked = false;
  const KEYS = {
    a: ["accept_next"],
    d: ["reject_next"],
    2: ["second_next"],
    n: ["next_segment"],
    u: ["undo"],
    c: ["relabel", "asks"],
    m: ["note", "asks"],
  };
  // A key waits until what the one before did has reached the page: it would act on the old segment.
  const PATIENCE = 20000; // ms; then the answer was lost
  const waiting = [];
  // What our operator selected and opened. The App tells operators what it has drawn last, which may
  // be late; so keys name it, until a person clicks or presses another key.
  let shown = {};
  window.addEventListener("pointerdown", () => { shown = {}; }, true);
  let working = null; // the timer that ends the patience, while one of our operators works
  const work = () => { working = window.setTimeout(goOn, PATIENCE); };
  const goOn = () => {
    window.clearTimeout(working);
    working = null;
    if (waiting.length) start(waiting.shift());
  };
  const start = ([name, asks]) => {
    const operator = `@frozenseg-label/review/${name}`;
    asked = asks !== undefined; // a form that one of our keys opened, or none
    if (asked) {
      executeOperator("@frozenseg-label/review/ask", { operator });
    } else {
      work();
      executeOperator(operator, shown);
    }
  };
  const isWriting = (element) =>
    element?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element?.tagName);
  const isBusy = () => // a form is open, or the Annotate tab, which has keys of its own
    document.querySelector('[role="dialog"], [data-cy^="annotate-"]') !== null;
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape") asked = false;
    if (!KEYS[event.key]) shown = {};
    const isEnter = event.key === "Enter";
    const isForm = isOurs && isEnter && asked && event.target.matches?.(FIELD);
    if (isForm || (typed !== null && (isEnter || event.key.length === 1))) {
      event.preventDefault();
      event.stopImmediatePropagation();
      if (typed === null) confirm();
      else if (isEnter) isSent = true;
      else typed += event.key;
      return;
    }
    const key = KEYS[event.key];
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (!key || !isPlain || !isOurs || !openId() || isWriting(event.target) || isBusy()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (key[1]) typed = ""; // letters are for its form from now on
    if (working) waiting.push(key);
    else start(key);
  }, true);

  const sayLost = () => {
    if (document.querySelector('[data-cy="review-ended"]')) return;
    const said = document.createElement("div");
    said.textContent = "The command that served this page has ended. What you did is kept. " +
      "Give the command again, then reload this page.";
    said.dataset.cy = "review-ended";
    said.style.cssText = "position:fixed;top:0;left:0;right:0;z-index:99999;padding:12px;" +
      "text-align:center;font:16px sans-serif;color:#101010;background:#ffc34d";
    document.body.append(said);
  };
  // An error of fetch is a TypeError: nobody answers. Other errors are not for people.
  const lookAgain = () => look().catch((error) => error instanceof TypeError && isOurs && sayLost());
  window.setTimeout(lookAgain, 500);
  window.setInterval(lookAgain, LOOK_EVERY);
})();
