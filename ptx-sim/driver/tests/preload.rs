//! The library in the process of the test itself, loaded by its path.

use cudarc::driver::{CudaContext, sys};

#[test]
fn whoever_asks_for_the_driver_finds_it() {
    ptx_sim_driver::preload().unwrap();
    // SAFETY: it only looks for the library.
    assert!(unsafe { sys::is_culib_present() });
    let context = CudaContext::new(0).unwrap();
    let stream = context.default_stream();
    let x = stream.clone_htod(&[1u32, 2, 3]).unwrap();
    assert_eq!(stream.clone_dtoh(&x).unwrap(), [1, 2, 3]);
}
