// The initial and the refined ranking, side by side. Texts go in as text, never as markup.

import { pictureUrl } from "./api.js";

const LONG_DESCRIPTION = 140; // characters; the rest unfolds
const SHOWN_SHARE = 0.5; // of its n-grams that the query has, for a word of a product to be shown

/** Make an element with properties and children. */
export function element(name, properties = {}, ...children) {
  const { dataset = {}, ...others } = properties;
  const made = Object.assign(document.createElement(name), others);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

/**
 * Draw an answer.
 * @param answer as client.results.SearchResult, in JSON.
 * @param options {isRefined, groupBy: the column that the results are grouped by, if any, hasPictures,
 *   onMore: called with the match to search more of}
 */
export function rankings(answer, { isRefined, groupBy, hasPictures, onMore }) {
  const context = { groupBy, hasPictures, onMore };
  if (!isRefined) {
    const title = isByWords(answer) ? "By words" : "Visual ranking";
    return [ranking("only", title, answer.results, () => null, context)];
  }
  const before = new Set(answer.initial_results.map((match) => match.product_id));
  const after = new Set(answer.results.map((match) => match.product_id));
  const removed = (match) =>
    after.has(match.product_id) ? null : { kind: "removed", words: ["− removed by refinement"] };
  const brought = (match) =>
    before.has(match.product_id) ? null : { kind: "brought", words: origin(match) };
  return [
    ranking("initial", "Initial ranking", answer.initial_results, removed, context),
    ranking("refined", "After refinement", answer.results, brought, context),
  ];
}

/** Whether a search was by words alone: then no backbone has a say. */
function isByWords(answer) {
  return answer.results.length > 0 && !Object.keys(answer.results[0].cosines).length;
}

/** Say in one line whether the catalogue has it, where that is known, and what refinement did. */
export function summary(answer, isRefined) {
  const { verdict } = answer;
  const said = verdict && `${verdict[0].toUpperCase()}${verdict.slice(1)}. `;
  return said + ranked(answer, isRefined);
}

/** A probability; one that is neither 0 nor 1 is never shown as these. */
function percent(probability) {
  if (probability > 0 && probability < 0.01) return "<1 %";
  if (probability > 0.99 && probability < 1) return ">99 %";
  return `${(100 * probability).toFixed(0)} %`;
}

function ranked(answer, isRefined) {
  const count = answer.results.length;
  const found = count === 1 ? "1 product" : `${count} products`;
  const spent = `in ${(answer.timings.total_us / 1000).toFixed(0)} ms.`;
  if (!isRefined) return `${found} ${spent} Without refinement.`;
  const before = new Set(answer.initial_results.map((match) => match.product_id));
  const replaced = answer.results.filter((match) => !before.has(match.product_id)).length;
  const near = answer.subset_size === 1 ? "1 text neighbour" : `${answer.subset_size} text neighbours`;
  return `${found} ${spent} Refinement replaced ${replaced}, out of ${near}.`;
}

function ranking(name, title, matches, mark, context) {
  const heading = element("h3", { id: `${name}-heading` }, title);
  const list = element("ol", { className: "matches" });
  list.append(...matches.map((match) => card(match, mark(match), context, list)));
  const section = element("section", { className: "ranking", id: name }, heading, list);
  section.setAttribute("aria-labelledby", heading.id);
  if (!matches.length) section.append(element("p", {}, "Nothing was found."));
  return section;
}

function card(match, mark, context, list) {
  const item = element("li", {
    className: `match ${mark ? mark.kind : ""}`,
    tabIndex: -1,
    dataset: { product: match.product_id },
  });
  const text = element("div", { className: "words" });
  text.append(
    element(
      "h4",
      {},
      element("span", { className: "rank" }, `${match.rank}`),
      ` ${match.product_id}`,
    ),
  );
  if (mark) text.append(markLine(mark, match, list));
  text.append(description(match.description), ...attributes(match.attributes));
  text.append(...group(match, context.groupBy), scores(match));
  text.append(moreButton(match, context.onMore));
  item.append(picture(match, context.hasPictures), text);
  return item;
}

/** Why only the refined ranking has a product: the rank of its seed, or too few text neighbours. */
function origin(match) {
  if (!match.text) return ["+ filled up"];
  const cosine = match.text.cosine.toFixed(2);
  return ["+ described like ", match.text, ` (text cosine ${cosine})`];
}

function markLine(mark, match, list) {
  const line = element("p", { className: "mark" });
  for (const part of mark.words) {
    line.append(typeof part === "string" ? part : seedButton(part, list));
  }
  return line;
}

/** Lead to the product whose text neighbour this is. */
function seedButton(seed, list) {
  const button = element(
    "button",
    { type: "button", className: "link" },
    `#${seed.seed_rank} ${seed.seed_product_id}`,
  );
  button.addEventListener("click", () => list.children[seed.seed_rank - 1]?.focus());
  return button;
}

function picture(match, hasPictures) {
  const frame = element("div", { className: "picture" });
  const missing = () =>
    element("span", { className: "no-picture" }, hasPictures ? "no picture" : "picture not shown");
  if (!hasPictures) {
    frame.append(missing());
    return frame;
  }
  const image = element("img", {
    src: pictureUrl(match),
    alt: `Picture of ${match.product_id}`,
    decoding: "async",
  });
  image.addEventListener("error", () => image.replaceWith(missing()));
  frame.append(image);
  return frame;
}

function description(text) {
  if (!text.trim()) return element("p", { className: "description none" }, "no description");
  if (text.length <= LONG_DESCRIPTION) return element("p", { className: "description" }, text);
  const cut = text.slice(0, LONG_DESCRIPTION).replace(/\s+\S*$/, "");
  return element(
    "details",
    { className: "description" },
    element(
      "summary",
      {},
      element("span", { className: "cut" }, `${cut}…`),
      element("span", { className: "less" }, "Show less"),
    ),
    element("p", {}, text),
  );
}

function attributes(values) {
  const pairs = Object.entries(values).filter(([, value]) => value);
  if (!pairs.length) return [];
  const words = pairs.map(([name, value]) => `${name}: ${value}`).join(" · ");
  return [element("p", { className: "attributes" }, words)];
}

/** How many images of the same group are not shown; nothing if there is none. */
function group(match, column) {
  const others = match.group_size - 1;
  if (!(others > 0)) return [];
  const images = others === 1 ? "1 image" : `${others.toLocaleString("en")} images`;
  return [element("p", { className: "group" }, `+${images} of the same ${column}`)];
}

function scores(match) {
  const list = element("dl", { className: "scores" });
  const add = (name, value) =>
    list.append(element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  add("similarity", match.similarity.toFixed(4));
  for (const [model, cosine] of Object.entries(match.cosines)) add(model, cosine.toFixed(3));
  if (match.words) add("words", wordsScore(match.words));
  if (match.confidence !== null) add("confidence", percent(match.confidence));
  return list;
}

/** How similar the words are, and the words of the product that resemble them. */
function wordsScore(words) {
  const similar = words.matched.filter((each) => each.share >= SHOWN_SHARE);
  return [words.cosine.toFixed(3), ...similar.map((each) => each.word)].join(" ");
}

function moreButton(match, onMore) {
  const button = element("button", { type: "button", className: "more" }, "More like this");
  button.setAttribute("aria-label", `More like this: ${match.product_id}`);
  button.addEventListener("click", () => onMore(match));
  return button;
}
