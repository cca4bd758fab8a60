//! What a run asks of the driver, as the driver counts it: memory.

use serde_json::Value;

use super::{QUICK, Scene, golden};

/// Filters that the matrix units of warpgroups read are uploaded in two parts, and in an order of their own each way.
#[test]
fn the_memory_that_bench_says_is_the_peak() {
    let (scene, model) = (Scene::new(), golden("decoder"));
    let arguments =
        ["bench", &model, "-m", "lrp-epsilon", "--batch", "20", "--repeats", "1", "--backend", "cuda", "--json"];
    let weights = ["8.0", "9.0"].map(|capability| {
        // The roof's copies take half of the device at most, which is less than the batch.
        let memory = ("PTX_SIM_MEMORY", "5000000");
        let settings = [QUICK, memory, ("PTX_SIM_CAPABILITY", capability), ("PTX_SIM_REPORT", capability)];
        let ran = scene.run(&settings, &arguments).exits(0);
        let memory = serde_json::from_str::<Value>(&ran.stdout).expect("JSON")["memory"].clone();
        let of = |key: &str| memory[key].as_u64().expect("bytes");
        let peak = scene.report(capability)["peak_bytes"].as_u64().expect("bytes");
        assert_eq!((of("total"), of("slots") + of("weights")), (peak, peak), "capability {capability}");
        of("weights")
    });
    assert!(weights[0] < weights[1], "{weights:?}");
}
