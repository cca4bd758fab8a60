/// Told how many images went forth and back through the network, and how many will in all; points of a path and noisy
/// copies are images too.
pub type ProgressHook<'m> = Box<dyn FnMut(usize, usize) + Send + 'm>;

/// Counts images, and tells.
#[derive(Default)]
pub struct Progress<'m> {
    pub hook: Option<ProgressHook<'m>>,
    done: usize,
    total: usize,
}

impl Progress<'_> {
    /// Begins to count, up to `total`.
    pub fn start(&mut self, total: usize) {
        (self.done, self.total) = (0, total);
    }

    /// `images` more went through.
    pub fn advance(&mut self, images: usize) {
        self.done += images;
        if let Some(hook) = &mut self.hook {
            hook(self.done, self.total);
        }
    }
}
