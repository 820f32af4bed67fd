// Calls of the page's own program. Whatever goes wrong becomes a Problem in plain words.

export class Problem extends Error {
  constructor({ kind, title, advice, details = "" }) {
    super(title);
    Object.assign(this, { kind, title, advice, details });
  }
}

const PROGRAM_GONE = {
  kind: "unavailable",
  title: "The program behind this page does not answer.",
  advice: "Start it again with: beauty-search web. The page goes on when it is back.",
};
const UNREADABLE_ANSWER = {
  kind: "failed",
  title: "The answer cannot be read.",
  advice: "Reload the page. If it stays so, look at what beauty-search web prints.",
};

/** What is being served; see status_json in answers.py. */
export function fetchStatus() {
  return answer("api/status", {});
}

/**
 * Search once.
 * @param query {photos: [{bytes: ArrayBuffer}]}, {product: match}, or {} for words alone; and
 *   {words: string}, empty if there are none. With {lines}, what was read on the photos before,
 *   nothing is read again: the lines that are on count as words.
 * @param settings {where: conditions, groupBy: the name of a column or empty, refine, keep, textWeight,
 *   alpha: {model: number}}; what is left out is the server's.
 */
export function fetchResults(query, settings, signal) {
  const parameters = new URLSearchParams({ refine: settings.refine });
  if (settings.keep !== undefined) parameters.set("keep", settings.keep);
  for (const [model, alpha] of Object.entries(settings.alpha)) {
    parameters.set(`alpha.${model}`, alpha);
  }
  for (const condition of settings.where) parameters.append("where", condition);
  if (settings.groupBy) parameters.set("group_by", settings.groupBy);
  const lines = (query.lines ?? []).filter(({ isOn }) => isOn).map(({ text }) => text);
  const words = [query.words, ...lines].filter(Boolean).join("\n");
  if (words) parameters.set("words", words);
  if (query.lines) parameters.set("read_words", false);
  if (settings.textWeight !== undefined) parameters.set("text_weight", settings.textWeight);
  if (query.product) {
    parameters.set("product_id", query.product.product_id);
    return answer(`api/similar?${parameters}`, { signal });
  }
  if (!query.photos) return answer(`api/words?${parameters}`, { signal });
  const photos = query.photos.map(({ bytes }) => bytes);
  if (photos.length > 1) parameters.set("sizes", photos.map((bytes) => bytes.byteLength));
  const headers = { "content-type": "application/octet-stream" };
  const options = { method: "POST", body: new Blob(photos), headers, signal };
  return answer(`api/search?${parameters}`, options);
}

/** Where a product's picture is. */
export function pictureUrl(match) {
  return `pictures?${new URLSearchParams({ image: match.image })}`;
}

async function answer(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ ...PROGRAM_GONE, details: error.message });
  }
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ ...UNREADABLE_ANSWER, details: `${response.status}: ${error.message}` });
  }
  if (!response.ok) throw new Problem(body);
  return body;
}
