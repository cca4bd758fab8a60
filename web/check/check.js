// Explains what the server asks for, and sends it the maps.
import init, { Network } from "/fluoroscope_web.js";

const bytes = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
const send = (path, body) => fetch(path, { method: "POST", body });

async function run({ model, picture, methods, target }) {
  const name = (url) => url.split("/").pop();
  const card = await (await fetch(model.replace(".onnx", ".card.json"))).text();
  const network = await Network.open(name(model), await bytes(model), card, undefined);
  // The second time from a session that was loaded before.
  for (const turn of [0, 1]) {
    for (const map of await network.explain(name(picture), await bytes(picture), methods, target)) {
      const about = JSON.stringify({ model, method: map.method, class: map.class, turn });
      await send(`/map?${new URLSearchParams({ about })}`, map.values);
      if (turn === 0) await send(`/picture?${new URLSearchParams({ about })}`, map.png);
    }
  }
  return network.device;
}

/** What bad input is answered with. */
async function refusals() {
  const told = [];
  const onnx = await bytes("/data/chest/chest-densenet.onnx");
  const tries = [
    () => Network.open("cut.onnx", onnx.slice(0, 1000), undefined, undefined),
    () => Network.open("no.onnx", new Uint8Array(), undefined, undefined),
    () => Network.open("chest.onnx", onnx, "{", undefined),
    () => Network.open("chest.onnx", onnx, undefined, "imagenot"),
    async () => (await Network.open("chest.onnx", onnx, undefined, "unit")).explain("no.png", new Uint8Array([1, 2]), ["grad-cam"], "top:1"),
  ];
  for (const each of tries) {
    told.push(await each().then(() => "nothing was refused", (error) => String(error.message)));
  }
  return told;
}

/** What the page itself says in the end, opened with a sample whose card names a file of classes. */
async function page() {
  const frame = document.createElement("iframe");
  frame.src = "/?sample=photograph&methods=grad-cam";
  document.body.append(frame);
  for (;;) {
    await new Promise((done) => setTimeout(done, 200));
    const status = frame.contentDocument.getElementById("status");
    if (status?.classList.contains("error")) return status.textContent;
    const figures = frame.contentDocument.querySelectorAll("figure img").length;
    if (figures > 0 && status.textContent.startsWith(`${figures} maps in `)) return status.textContent;
  }
}

// A module that panics answers no promise.
addEventListener("error", ({ message }) => send("/failed", message));

try {
  await init();
  const devices = [];
  for (const each of await (await fetch("/cases")).json()) devices.push(await run(each));
  await send("/done", JSON.stringify({ devices, refusals: await refusals(), page: await page() }));
} catch (error) {
  await send("/failed", String(error.stack ?? error));
}
