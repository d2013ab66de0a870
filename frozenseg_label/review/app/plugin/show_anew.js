// Our keys, and what lets the App fetch images again that an operator, or a save in a terminal, changed.
// The App keeps every image that was open once as it was then. Without this, the next stroke in
// such an image would bring back what the operator removed. The grid and what left the view follow
// by FiftyOne's own reload.
(() => {
  const { Operator, OperatorConfig, executeOperator, registerOperator } = window.__foo__;
  const state = window.__fos__;
  const NAME = "@frozenseg-label/review/show_anew";
  const LOOK_EVERY = 4000; // ms, for a save in a terminal
  const sampleQuery = `query ($dataset: String!, $view: BSONArray!, $id: String!) {
    sample(dataset: $dataset, view: $view, filter: { id: $id }) { ... on ImageSample { sample } }
  }`;
  const infoQuery = `query ($dataset: String!) { dataset(name: $dataset) { info } }`;
  const opened = new Set(); // ids of images; the page's address names the open one
  let saved = null; // the save that this page has seen last
  let shownAnew = false; // by an operator since the last look
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

  class ShowAnew extends Operator {
    get config() {
      return new OperatorConfig({ name: "show_anew", label: "Review: show again", unlisted: true });
    }

    useHooks() {
      return {
        dataset: window.recoil.useRecoilValue(state.datasetName),
        view: window.recoil.useRecoilValue(state.view),
        update: state.useUpdateSamples(),
        refresh: state.useRefresh(),
      };
    }

    async execute({ hooks, params }) {
      shownAnew = true;
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

  class Ask extends Operator { // shows the form of another operator
    get config() {
      return new OperatorConfig({ name: "ask", label: "Review: ask", unlisted: true });
    }

    useHooks() {
      return { prompt: window.__foo__.usePromptOperatorInput() };
    }

    async execute({ hooks, params }) {
      hooks.prompt(params.operator);
    }
  }

  registerOperator(ShowAnew, "@frozenseg-label/review");
  registerOperator(Ask, "@frozenseg-label/review");

  const look = async () => {
    const dataset = decodeURIComponent(window.location.pathname.split("/datasets/")[1] ?? "");
    if (!dataset || document.hidden) return;
    const info = (await ask(infoQuery, { dataset }))?.dataset?.info;
    isOurs = info?.run_folder !== undefined;
    const now = info?.saved ?? "";
    const isNew = saved !== null && now !== saved && !shownAnew;
    saved = now;
    shownAnew = false;
    if (isNew) executeOperator(NAME, {});
  };
  // One key for what people do most, while an image or a patch is open in the Explore tab. FiftyOne
  // itself uses other keys there (f, s, x, z, arrows, space, +, -, ?).
  const KEYS = {
    a: ["accept_next"],
    d: ["reject_next"],
    2: ["second_next"],
    n: ["next_segment"],
    u: ["undo"],
    c: ["relabel", "asks"],
    m: ["note", "asks"],
  };
  const isWriting = (element) =>
    element?.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element?.tagName);
  const isBusy = () => // a form is open, or the Annotate tab, which has keys of its own
    document.querySelector('[role="dialog"], [data-cy^="annotate-"]') !== null;
  window.addEventListener("keydown", (event) => {
    const key = KEYS[event.key];
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (!key || !isPlain || !isOurs || !openId() || isWriting(event.target) || isBusy()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const operator = `@frozenseg-label/review/${key[0]}`;
    if (key[1]) executeOperator("@frozenseg-label/review/ask", { operator });
    else executeOperator(operator, {});
  }, true);

  const lookAgain = () => look().catch(() => {}); // the command may have ended
  window.setTimeout(lookAgain, 500);
  window.setInterval(lookAgain, LOOK_EVERY);
})();
