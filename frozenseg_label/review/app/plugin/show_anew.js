// Lets the App fetch images again that an operator, another person or a save in a terminal changed.
// The App keeps every image that was open once as it was then. Without this, the next stroke in
// such an image would bring back what the operator removed. The grid and what left the view follow
// by FiftyOne's own reload.
import { PLUGIN, hidden, isBusy, openId, page } from "./page.js";

const { Operator, executeOperator, registerOperator } = window.__foo__;
const state = window.__fos__;
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

// FiftyOne uses the colours of tags only while tags are ticked at the left, in the grid and beside
// an image, and does not tick them as the dataset asks. People may take the tick away.
const ticked = new Set();
const tickTags = (place) => {
  if (!page.isOurs || ticked.has(place)) return;
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

registerOperator(ShowAnew, PLUGIN);

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
    [looked, page.isOurs, newest] = [dataset, false, null];
  }
  if (!page.isOurs) {
    const found = (await ask(datasetQuery, { dataset }))?.dataset;
    page.isOurs = found?.info?.run_folder !== undefined;
    if (!page.isOurs) return;
    hideDetails([found.id, dataset]);
  }
  const { ids, last } = await changedSince(dataset, newest);
  const isFirst = newest === null;
  newest = last;
  const open = openId();
  const others = ids.filter((id) => !mine.has(id) && !(id === open && isBusy()));
  mine.clear();
  if (!isFirst && others.length) executeOperator(`${PLUGIN}/show_anew`, { changed: others, isOthers: true });
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
const lookAgain = () => look().catch((error) => error instanceof TypeError && page.isOurs && sayLost());
window.setTimeout(lookAgain, 500);
window.setInterval(lookAgain, LOOK_EVERY);
