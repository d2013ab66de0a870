// FiftyOne gives the masks of an image away to the worker that draws them, and may ask another one to
// draw them before they are back. That fails, and the worker is lost; after the last one no image shows
// its labels until the page is loaded again. So workers get a copy of what they draw.
const { postMessage } = Worker.prototype;
Worker.prototype.postMessage = function (message, given) {
  postMessage.call(this, message, message?.method === "processSample" ? [] : given);
};
