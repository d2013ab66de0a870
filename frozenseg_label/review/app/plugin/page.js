// What the parts have in common: which page the App shows, and what is in it.
const { OperatorConfig } = window.__foo__;

export const PLUGIN = "@frozenseg-label/review";
export const CANVAS = '[data-cy="modal-content"] canvas'; // of an open image
export const FORM = '[role="dialog"]';
export const page = { isOurs: false }; // whether the dataset that it shows is one of our runs
export const openId = () => new URLSearchParams(window.location.search).get("id"); // of an image
export const isBusy = () => // a form is open, or the Annotate tab, which has keys of its own
  document.querySelector(`${FORM}, [data-cy^="annotate-"]`) !== null;
export const hidden = (name) => // an operator that no list shows
  new OperatorConfig({ name, label: `Review: ${name}`, unlisted: true });
