// The page: a photo or a product goes in, two rankings come out. State lives in this tab alone.

import { fetchResults, fetchStatus, pictureUrl, Problem } from "./api.js";
import { element, rankings, summary } from "./rankings.js";
import { foldWhereNarrow, onSettings, settings, showServed } from "./settings.js";

const byId = (id) => document.getElementById(id);
const WATCH_MS = 1500; // between questions to a server that is away
const BUSY_MS = 150; // a quick answer shows no bar
const SVG = "http://www.w3.org/2000/svg";

// The queries of this tab: {photos: [{name, bytes}]} or {product}, and {words}. Photos that were
// read have {lines: [{text, photo, corners, isOn}]}.
const steps = [];
let step = -1; // the one that is shown
let asking = null; // AbortController of the search under way
let isAnnounced = true; // whether the focus has gone to what the shown query found
let isAway = false; // the server, or the page's program
let watching; // timer of the next question to a server that is away
let served = null; // the server's status, once it is known

// Queries

/** Search for the photo in a file; with those that are shown, if it is added to them. */
async function choosePhoto(file, { isAdded = false } = {}) {
  if (!file) return;
  try {
    if (served?.too_large && file.size > served.max_image_bytes) throw new Problem(served.too_large);
    const photo = { name: file.name, bytes: await bytesOf(file) };
    const shown = (isAdded && steps[step]?.photos) || [];
    open({ photos: [...shown, photo], words: typedWords() });
  } catch (error) {
    showProblem(error, { canRetry: false });
    byId("problem").focus();
  }
}

/** Search for the words that are typed: with the photo or product that is shown, or alone. */
function searchWords() {
  const shown = steps[step] ?? {};
  const words = typedWords();
  if (words === (shown.words ?? "")) return;
  if (!words && !shown.photos && !shown.product) return;
  open({ ...shown, words });
}

const typedWords = () => byId("words").value.trim();

/** Read the file now: it may be gone or changed when a slider asks for it again. */
async function bytesOf(file) {
  let bytes;
  try {
    bytes = await file.arrayBuffer();
  } catch (error) {
    throw new Problem({
      kind: "image",
      title: "This file cannot be read.",
      advice: "Choose a photo that is stored on this device.",
      details: error.message,
    });
  }
  if (bytes.byteLength) return bytes;
  throw new Problem({
    kind: "image",
    title: "This file is empty.",
    advice: "Choose another photo.",
  });
}

/** Take a new query; the browser's Back leads to the one before. */
function open(query) {
  steps.splice(step + 1, Infinity, query);
  step = steps.length - 1;
  if (step) history.pushState({ step }, "");
  else history.replaceState({ step }, "");
  show();
}

function show() {
  showQuery(steps[step]);
  askAnew();
}

/** Search, and lead the focus to what is found; a slider that moves meanwhile changes nothing. */
function askAnew() {
  isAnnounced = false;
  ask();
}

async function ask() {
  if (step < 0) return;
  asking?.abort();
  const mine = (asking = new AbortController());
  const asked = settings();
  const busy = setTimeout(() => setBusy(true), BUSY_MS);
  try {
    const query = steps[step];
    asked.refine &&= Boolean(query.photos || query.product); // words alone are not refined
    const answer = await fetchResults(query, asked, mine.signal);
    if (mine !== asking) return;
    asking = null;
    hideProblem();
    if (query.photos && !query.lines && answer.timings.read_us) {
      query.lines = answer.read_lines.map((line) => ({ ...line, isOn: true }));
      showLines(query);
    }
    showAnswer(answer, asked);
    announce("results-heading");
  } catch (error) {
    if (mine !== asking) return;
    asking = null;
    say("");
    byId("rankings").replaceChildren();
    showProblem(error, { canRetry: error.kind !== "image" }); // it would say the same again
    announce("problem");
    if (error.kind === "unavailable") watch();
  } finally {
    clearTimeout(busy);
    if (asking === null) setBusy(false);
  }
}

function announce(id) {
  if (!isAnnounced) byId(id).focus();
  isAnnounced = true;
}

// What the page shows

function showQuery(query) {
  const count = query.photos?.length ?? 0;
  byId("words").value = query.words;
  byId("back").hidden = step === 0;
  byId("add").hidden = count === 0 || count >= (served?.max_photos ?? 1);
  byId("hint").hidden = Boolean(query.photos || query.product);
  if (query.photos) {
    byId("query-heading").textContent = count > 1 ? `Your ${count} photos` : "Your photo";
    byId("previews").replaceChildren(...query.photos.map(photoPreview));
  } else if (query.product) {
    byId("query-heading").textContent = "More like this product";
    byId("previews").replaceChildren(productPreview(query.product));
  } else {
    byId("query-heading").textContent = "Your words";
    byId("previews").replaceChildren();
  }
  showLines(query);
}

/** The words that were read: each on its photo, and in a list where it can be switched off. */
function showLines({ lines = [] }) {
  byId("lines").hidden = !lines.length;
  byId("lines-list").replaceChildren(...lines.map(lineSwitch));
  drawLines(lines);
}

function lineSwitch(line) {
  const input = element("input", { type: "checkbox", checked: line.isOn });
  input.addEventListener("change", () => {
    line.isOn = input.checked;
    drawLines(steps[step].lines);
    ask();
  });
  return element("li", {}, element("label", {}, input, " ", line.text));
}

function drawLines(lines) {
  [...byId("previews").querySelectorAll(".photo")].forEach((frame, photo) => {
    const image = frame.querySelector("img");
    frame.querySelector("svg")?.remove();
    if (!image?.naturalWidth) return; // shown once it is loaded
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", `0 0 ${image.naturalWidth} ${image.naturalHeight}`);
    drawing.setAttribute("aria-hidden", "true");
    for (const line of lines.filter((each) => each.photo === photo)) {
      const box = document.createElementNS(SVG, "polygon");
      box.setAttribute("points", line.corners.map(({ x, y }) => `${x},${y}`).join(" "));
      box.setAttribute("class", line.isOn ? "on" : "off");
      drawing.append(box);
    }
    frame.append(drawing);
  });
}

function photoPreview({ name, bytes }) {
  const url = URL.createObjectURL(new Blob([bytes]));
  const shown = preview(name, url, "The photo that is searched");
  shown.querySelector("img").addEventListener("load", () => {
    URL.revokeObjectURL(url);
    drawLines(steps[step]?.lines ?? []);
  });
  return shown;
}

function productPreview(product) {
  const url = served?.has_pictures ? pictureUrl(product) : null;
  return preview(product.product_id, url, `Picture of ${product.product_id}`);
}

/** A picture with its name; words in its place where there is no address or nothing to show. */
function preview(name, url, alt) {
  const image = element("img", { alt });
  const frame = element("div", { className: "photo" }, image);
  const figure = element("figure", { className: "preview" }, frame, element("figcaption", {}, name));
  const isMissing = () =>
    image.replaceWith(element("p", { className: "no-picture" }, "This browser cannot show it."));
  image.addEventListener("error", isMissing);
  if (url) image.src = url;
  else isMissing();
  return figure;
}

function showAnswer(answer, asked) {
  const options = {
    isRefined: asked.refine,
    groupBy: asked.groupBy,
    hasPictures: Boolean(served?.has_pictures),
    onMore: (product) => open({ product, words: "" }),
  };
  const shown = rankings(answer, options);
  byId("rankings").className = asked.refine ? "two" : "one";
  const longest = Math.max(answer.results.length, answer.initial_results.length);
  byId("rankings").style.setProperty("--rows", longest + 1); // and the headings
  byId("rankings").replaceChildren(...shown);
  showWarnings(answer.warnings);
  say(summary(answer, asked.refine));
}

function showWarnings(warnings) {
  byId("warnings").replaceChildren(...warnings.map((warning) => element("li", {}, warning)));
  byId("warnings").hidden = !warnings.length;
}

function showProblem(problem, { canRetry }) {
  const box = byId("problem");
  const known = problem instanceof Problem;
  box.replaceChildren(
    element("h3", {}, known ? problem.title : "This page has a fault."),
    element("p", {}, known ? problem.advice : "Reload the page."),
  );
  const details = known ? problem.details : `${problem}`;
  if (details) {
    const words = element("p", {}, details);
    box.append(element("details", {}, element("summary", {}, "What the program said"), words));
  }
  if (canRetry) {
    const button = element("button", { type: "button" }, "Try again");
    button.addEventListener("click", () => {
      hideProblem();
      if (step >= 0) askAnew();
      else learn();
    });
    box.append(button);
  }
  box.hidden = false;
}

function hideProblem() {
  byId("problem").hidden = true;
  byId("problem").replaceChildren();
}

function say(words) {
  byId("status").textContent = words;
}

function setBusy(isBusy) {
  byId("busy").hidden = !isBusy;
  byId("results").setAttribute("aria-busy", `${isBusy}`);
  if (isBusy) say("Searching…");
}

// The server

/** Ask what is served; while nobody answers, ask again. */
async function learn() {
  try {
    served = await fetchStatus();
  } catch (error) {
    byId("served").textContent = "The search server does not answer.";
    if (step < 0 && !isAway) showProblem(error, { canRetry: true });
    watch();
    return;
  }
  showServed(served);
  byId("words-form").hidden = byId("words-strength").hidden = !served.has_words;
  const count = served.product_count.toLocaleString("en");
  byId("served").textContent =
    `${count} products, index ${served.index_version}, profile ${served.profile}`;
  showWarnings(served.warnings);
  if (!isAway) return;
  isAway = false;
  hideProblem();
  say("The server is back.");
  ask();
}

function watch() {
  isAway = true;
  clearTimeout(watching);
  watching = setTimeout(learn, WATCH_MS);
}

// Events

for (const id of ["file", "camera", "more"]) {
  byId(id).addEventListener("change", ({ target }) => {
    choosePhoto(target.files[0], { isAdded: id === "more" });
    target.value = ""; // the same file may be chosen again
  });
}
byId("words-form").addEventListener("submit", (event) => {
  event.preventDefault();
  searchWords();
});
byId("back").addEventListener("click", () => history.back());
addEventListener("popstate", ({ state }) => {
  if (!state || !(state.step in steps)) return;
  step = state.step;
  show();
});
addEventListener("paste", ({ clipboardData }) => choosePhoto(clipboardData.files[0]));
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", ({ relatedTarget }) => {
  if (!relatedTarget) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const photo = event.dataTransfer.files[0];
  if (photo) choosePhoto(photo);
  else say("That was no file. Drop a photo that is stored on this device.");
});
foldWhereNarrow();
onSettings(ask);
learn();
