/** The text of a card. It may name a file of class names: `read` gives that file's text, and the names go into the card. */
export async function withNames(text, read) {
  let card;
  try {
    card = JSON.parse(text);
  } catch {
    return text; // the module says what is wrong with it
  }
  const names = card?.output?.classes;
  if (typeof names !== "string") return text;
  card.output.classes = (await read(names.split("/").pop())).trimEnd().split("\n").map((name) => name.trim());
  return JSON.stringify(card);
}
