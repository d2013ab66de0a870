// Lets the App fetch images again that an operator changed; none of the App's own operators does.
// The App keeps every image that was open once as it was then. Without this, the next stroke in
// such an image would bring back what the operator removed.
(() => {
  const { Operator, OperatorConfig, registerOperator } = window.__foo__;
  const state = window.__fos__;
  const query = `query ($dataset: String!, $view: BSONArray!, $id: String!) {
    sample(dataset: $dataset, view: $view, filter: { id: $id }) { ... on ImageSample { sample } }
  }`;
  const opened = new Set(); // ids of images; the page's address names the open one
  const note = () => opened.add(new URLSearchParams(window.location.search).get("id"));
  window.setInterval(note, 200);

  class ShowAnew extends Operator {
    get config() {
      return new OperatorConfig({ name: "show_anew", label: "Review: show again", unlisted: true });
    }

    useHooks() {
      return {
        dataset: window.recoil.useRecoilValue(state.datasetName),
        view: window.recoil.useRecoilValue(state.view),
        update: state.useUpdateSamples(),
      };
    }

    async execute({ hooks, params }) {
      const post = window.__fou__.getFetchFunction();
      const known = new Set(params.changed.filter((id) => opened.has(id)));
      if (params.open) known.add(params.open);
      const { dataset, update } = hooks;
      for (const id of known) {
        for (const view of [hooks.view, []]) { // an image may have left the view
          const variables = { dataset, view, id };
          const { data } = await post("POST", "/graphql", { query, variables });
          if (!data?.sample) continue;
          update([[id, data.sample.sample]]);
          break;
        }
      }
    }
  }

  registerOperator(ShowAnew, "@frozenseg-label/review");
})();
