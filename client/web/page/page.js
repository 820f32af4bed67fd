// The page: a photo or a product goes in, two rankings come out. State lives in this tab alone.

import { fetchResults, fetchStatus, pictureUrl, Problem } from "./api.js";
import { element, rankings, summary } from "./rankings.js";
import { foldWhereNarrow, onSettings, settings, showServed } from "./settings.js";

const byId = (id) => document.getElementById(id);
const WATCH_MS = 1500; // between questions to a server that is away
const BUSY_MS = 150; // a quick answer shows no bar

const steps = []; // the queries of this tab: {photo, bytes, url} or {product}, each with {words}
let step = -1; // the one that is shown
let asking = null; // AbortController of the search under way
let isAnnounced = true; // whether the focus has gone to what the shown query found
let isAway = false; // the server, or the page's program
let watching; // timer of the next question to a server that is away
let served = null; // the server's status, once it is known

// Queries

async function choosePhoto(photo) {
  if (!photo) return;
  try {
    if (served?.too_large && photo.size > served.max_image_bytes) throw new Problem(served.too_large);
    const bytes = await bytesOf(photo);
    open({ photo, bytes, url: URL.createObjectURL(photo), words: typedWords() });
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
  if (!words && !shown.photo && !shown.product) return;
  const { photo, bytes, product } = shown;
  const url = photo && URL.createObjectURL(photo); // each step revokes its own
  open({ ...(photo && { photo, bytes, url }), ...(product && { product }), words });
}

const typedWords = () => byId("words").value.trim();

/** Read the file now: it may be gone or changed when a slider asks for it again. */
async function bytesOf(photo) {
  let bytes;
  try {
    bytes = await photo.arrayBuffer();
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
  for (const dropped of steps.splice(step + 1)) {
    if (dropped.url) URL.revokeObjectURL(dropped.url);
  }
  steps.push(query);
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
    asked.refine &&= Boolean(query.photo || query.product); // words alone are not refined
    const answer = await fetchResults(query, asked, mine.signal);
    if (mine !== asking) return;
    asking = null;
    hideProblem();
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
  const image = byId("preview-image");
  const isPhoto = Boolean(query.photo);
  byId("words").value = query.words;
  byId("back").hidden = step === 0;
  byId("preview").hidden = !isPhoto && !query.product;
  byId("hint").hidden = !byId("preview").hidden;
  if (byId("preview").hidden) {
    byId("query-heading").textContent = "Your words";
    return;
  }
  byId("query-heading").textContent = isPhoto ? "Your photo" : "More like this product";
  byId("preview-missing").hidden = true;
  image.hidden = false;
  image.alt = isPhoto ? "The photo that is searched" : `Picture of ${query.product.product_id}`;
  const name = isPhoto ? query.photo.name : query.product.product_id;
  byId("preview-name").textContent = name;
  if (isPhoto || served?.has_pictures) image.src = isPhoto ? query.url : pictureUrl(query.product);
  else pictureMissing();
}

function pictureMissing() {
  byId("preview-image").hidden = true;
  byId("preview-image").removeAttribute("src");
  byId("preview-missing").hidden = false;
}

function showAnswer(answer, asked) {
  const options = {
    isRefined: asked.refine,
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

for (const id of ["file", "camera"]) {
  byId(id).addEventListener("change", ({ target }) => {
    choosePhoto(target.files[0]);
    target.value = ""; // the same file may be chosen again
  });
}
byId("words-form").addEventListener("submit", (event) => {
  event.preventDefault();
  searchWords();
});
byId("preview-image").addEventListener("error", pictureMissing);
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
