/** A card may name a file of class names; `read` gives that file's text, and the names go into the card. */
export async function withNames(card, read) {
  const names = card.output?.classes;
  if (typeof names === "string") {
    card.output.classes = (await read(names.split("/").pop())).trimEnd().split("\n").map((name) => name.trim());
  }
  return JSON.stringify(card);
}
