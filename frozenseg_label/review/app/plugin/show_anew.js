// Lets the App fetch images anew that an operator changed, which no operator of its own does.
// It keeps every image that was once open as it was then, and would with the next stroke there
// bring back what the operator took away.
(() => {
  const { Operator, OperatorConfig, registerOperator } = window.__foo__;
  const state = window.__fos__;
  const query = `query ($dataset: String!, $view: BSONArray!, $id: String!) {
    sample(dataset: $dataset, view: $view, filter: { id: $id }) { ... on ImageSample { sample } }
  }`;
  const opened = new Set(); // ids of images; the address of the page names the one that is open
  const note = () => opened.add(new URLSearchParams(window.location.search).get("id"));
  window.setInterval(note, 200);

  class ShowAnew extends Operator {
    get config() {
      return new OperatorConfig({ name: "show_anew", label: "Review: show anew", unlisted: true });
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
        for (const view of [hooks.view, []]) { // it may have left the view meanwhile
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
