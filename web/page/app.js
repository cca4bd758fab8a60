// The page: files in, maps out. All that computes is in the module, on the browser's GPU.
import init, { Network, methods, presets } from "./fluoroscope_web.js";
import { withNames } from "./card.js";

const CHOSEN = ["grad-cam", "lrp-epsilon", "guided-backprop", "input-x-gradient"];
const SAMPLES = [
  { key: "chest", label: "chest film", model: "samples/chest-densenet.onnx", picture: "samples/test-1.png" },
  { key: "photograph", label: "photograph", model: "samples/efficientnet-lite0.onnx", picture: "samples/chelsea.jpg" },
];

const at = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search);
let network = null;
let picture = null;
/** Opens the model anew, as it was opened before. */
let again = null;
let isBusy = false;

function say(text, isError = false) {
  at("status").textContent = text;
  at("status").classList.toggle("error", isError);
}

/** Runs `work` while nothing else can be asked; what goes wrong is shown. */
async function during(text, work) {
  if (isBusy) return;
  isBusy = true;
  const fields = document.querySelectorAll("fieldset");
  fields.forEach((field) => (field.disabled = true));
  say(text);
  try {
    say((await work()) ?? (network && picture ? "Ready." : ""));
  } catch (error) {
    say(error.message ?? String(error), true);
  }
  fields.forEach((field) => (field.disabled = false));
  at("explain").disabled = !(network && picture);
  isBusy = false;
}

async function fetched(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return answer;
}

async function open(name, bytes, card) {
  network?.free();
  network = null;
  at("about").textContent = "";
  at("target").replaceChildren();
  network = await Network.open(name, bytes, card, at("preset").value);
  const options = [new Option("the most probable", "top:1"), new Option("the three most probable", "top:3")];
  at("target").replaceChildren(...options, ...network.classes.map((name, number) => new Option(name, String(number))));
  const warning = network.warning ? ` ${network.warning}` : "";
  at("about").textContent = `${name}: ${network.input}, on ${network.device}.${warning}`;
}

function show(name, bytes) {
  URL.revokeObjectURL(at("preview").src);
  picture = { name, bytes };
  at("preview").src = URL.createObjectURL(new Blob([bytes]));
  at("preview").alt = name;
  at("preview").hidden = false;
}

async function sample({ model, picture }) {
  const name = (url) => url.split("/").pop();
  const bytes = async (url) => new Uint8Array(await (await fetched(url)).arrayBuffer());
  const card = await (await fetched(model.replace(".onnx", ".card.json"))).text();
  const names = async (file) => (await fetched(`samples/${file}`)).text();
  again = null;
  await open(name(model), await bytes(model), await withNames(card, names));
  show(name(picture), await bytes(picture));
}

async function own(files) {
  const called = (end) => files.find((file) => file.name.toLowerCase().endsWith(end));
  const onnx = called(".onnx");
  if (!onnx) throw new Error("choose a file that ends in .onnx");
  const card = called(".json");
  const names = async (file) => {
    const found = files.find(({ name }) => name === file);
    if (!found) throw new Error(`${card.name} names classes in ${file}: choose that file, too`);
    return found.text();
  };
  again = () => own(files);
  const text = card && (await withNames(await card.text(), names));
  await open(onnx.name, new Uint8Array(await onnx.arrayBuffer()), text);
  return picture ? undefined : "Now choose a picture.";
}

async function explain() {
  const chosen = [...at("methods").querySelectorAll("input:checked")].map(({ value }) => value);
  if (chosen.length === 0) throw new Error("choose a method");
  const start = performance.now();
  const maps = await network.explain(picture.name, picture.bytes, chosen, at("target").value);
  const seconds = (performance.now() - start) / 1000;
  at("maps").querySelectorAll("img").forEach(({ src }) => URL.revokeObjectURL(src));
  at("maps").replaceChildren(...maps.map(figure));
  return `${maps.length} maps in ${seconds.toFixed(2)} s.`;
}

function figure(map) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([map.png], { type: "image/png" }));
  image.alt = `${map.method} of ${map.class}`;
  const caption = document.createElement("figcaption");
  const biases = map.toBiases === undefined ? "" : ` + ${map.toBiases.toPrecision(4)} to biases`;
  const sums = `sum ${map.sum.toPrecision(4)}${biases}, logit ${map.logit.toPrecision(4)}`;
  const sum = map.completenessError === undefined ? "" : sums;
  const save = Object.assign(document.createElement("a"), { href: image.src, textContent: "save" });
  save.download = `${picture.name.replace(/\.[^.]*$/, "")}.${map.class}.${map.method}.png`.replace(/[^\w.-]+/g, "-");
  caption.append(sum, save);
  const whole = document.createElement("figure");
  whole.append(image, caption);
  return whole;
}

/** The methods that the address asks for, else some. */
function offer() {
  const chosen = asked.get("methods")?.split(",") ?? CHOSEN;
  for (const name of methods()) {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: name });
    box.checked = chosen.includes(name);
    const label = document.createElement("label");
    label.append(box, ` ${name}`);
    at("methods").append(label);
  }
}

/** What the page does when something is chosen, clicked or dropped. */
function listen() {
  for (const each of SAMPLES) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: each.label });
    button.onclick = () => during(`Opening the ${each.label}'s network ...`, () => sample(each));
    at("samples").append(button);
  }
  const chosen = (input) => {
    const files = [...input.files];
    input.value = ""; // so that the same file can be chosen again
    return files;
  };
  at("model").onchange = ({ target }) => {
    const files = chosen(target);
    during("Opening the model ...", () => own(files));
  };
  at("preset").onchange = () => again && during("Opening the model ...", again);
  const take = (file) => file && during("", async () => show(file.name, new Uint8Array(await file.arrayBuffer())));
  at("picture").onchange = ({ target }) => take(chosen(target)[0]);
  at("form").onsubmit = (event) => {
    event.preventDefault();
    during("Computing ...", explain);
  };
  document.ondragover = (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  };
  document.ondragleave = () => document.body.classList.remove("dropping");
  document.ondrop = (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    take(event.dataTransfer.files[0]);
  };
  // A module that panics answers no promise.
  addEventListener("error", ({ message }) => say(`${message}; reload the page`, true));
}

async function start() {
  await init();
  at("preset").append(...presets().map((name) => new Option(name)));
  offer();
  listen();
  if (!navigator.gpu) throw new Error("this browser has no WebGPU: use a recent Chrome, Edge, Safari or Firefox");
  const wanted = SAMPLES.find(({ key }) => key === asked.get("sample"));
  if (wanted) {
    await sample(wanted);
    return explain();
  }
  return "Choose a model and a picture, or a sample.";
}

during("Loading ...", start);
