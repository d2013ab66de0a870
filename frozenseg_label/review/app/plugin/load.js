// FiftyOne loads this file by its content; the parts by their names. A browser may keep a part of an
// earlier version, so it is asked to look for a new one first.
(() => {
  const here = document.currentScript.src;
  const places = ["page.js", "draw.js", "show_anew.js", "names.js", "keys.js"].map((name) => new URL(name, here));
  Promise.all(places.map((place) => fetch(place, { cache: "no-cache" })))
    .then(() => places.forEach((place) => import(place)));
})();
