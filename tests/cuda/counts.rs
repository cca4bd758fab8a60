//! What a run asks of the driver, as the driver counts it: memory, modules, graphs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{QUICK, Scene, golden};

impl Scene {
    /// Different texts of kernels in a report.
    fn texts(&self, name: &str) -> usize {
        let report = std::fs::read_to_string(self.folder.path().join(name)).expect("a report");
        let lines = report.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let texts = lines.filter_map(|line| line["text"].as_str().map(str::to_owned));
        texts.collect::<BTreeSet<String>>().len()
    }
}

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

/// Whatever the number of batches: each text is compiled once, each part of a program recorded once a session.
#[test]
fn kernels_and_graphs_are_made_once() {
    let scene = Scene::new();
    // The parts are those of the baseline, which goes through the network once a session, forward and backward.
    for (batches, sessions) in [(1, 1), (4, 2), (8, 2)] {
        scene.images("in.npy", "plain", 2 * batches);
        let options = ["-m", "gradient,deeplift", "--batch", "2", "--backend", "cuda"];
        let name = format!("report-{batches}");
        scene.explain(&[QUICK, ("PTX_SIM_REPORT", &name)], "plain", "maps", &options).exits(0);
        let (report, texts) = (scene.report(&name), scene.texts(&name));
        let counts = ["modules", "captures", "instantiations", "graph_launches"].map(|of| report[of].as_u64());
        let want = [texts, 3 * sessions, 3 * sessions, sessions + 2 * batches].map(|count| Some(count as u64));
        assert!(texts > 10 && counts == want, "{batches} batches: {report}, {texts} texts");
    }
}
