//! Makes the JavaScript of a module: `bind MODULE.wasm FOLDER`.

use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else { anyhow::bail!("usage: bind MODULE.wasm FOLDER") };
    Bindgen::new()
        .input_path(module)
        .web(true)?
        .typescript(true)
        .remove_name_section(true)
        .omit_default_module_path(false)
        .generate(folder)
}
