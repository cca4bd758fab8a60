//! Images ahead of the computation: several files are read at a time, their images come in the order of the files.

use std::collections::VecDeque;
use std::iter::once;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::failure::Failure;
use super::inputs::{Image, is_array};
use crate::graph::Shape;
use crate::picture::{NpyImages, Picture, PictureError, Placement, Preprocess};

/// What the loader hands over: all images of a source, or some and then a failure, or a failure.
pub enum Loaded {
    Image(Box<Image>),
    Failed { source: usize, failure: Failure },
}

/// How files become images.
pub struct Reading {
    pub files: Vec<PathBuf>,
    /// Of the model's input.
    pub shape: Shape,
    /// Without it, every file is an array.
    pub preprocess: Option<Preprocess>,
}

/// Images of one source; what follows an error is lost.
type Images = Box<dyn Iterator<Item = Result<Image, Failure>>>;

/// A source to read, and where its images go.
type Job = (usize, SyncSender<Loaded>);

/// A source that is read, or about to be.
struct Open {
    source: usize,
    images: Receiver<Loaded>,
    /// Images that are to come.
    left: usize,
}

/// Reads files on threads of its own. It holds as many images as it may be ahead, and one or two for each thread.
pub struct Loader {
    reading: Arc<Reading>,
    jobs: Sender<Job>,
    open: VecDeque<Open>,
    next: usize,
    most_open: usize,
    /// Images of an array that wait to be taken.
    most_waiting: usize,
}

impl Loader {
    /// Reads on so many threads, and `ahead` images before they are taken.
    pub fn start(reading: Reading, threads: usize, ahead: usize) -> Self {
        let reading = Arc::new(reading);
        let (jobs, todo) = channel::<Job>();
        let todo = Arc::new(Mutex::new(todo));
        for _ in 0..threads.min(reading.files.len()) {
            let (reading, todo) = (Arc::clone(&reading), Arc::clone(&todo));
            std::thread::spawn(move || {
                let take = || todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok((source, taker)) = take() {
                    reading.read(source, &taker);
                }
            });
        }
        let (most_open, most_waiting) = (ahead + threads, ahead.div_ceil(threads));
        Self { reading, jobs, open: VecDeque::new(), next: 0, most_open, most_waiting }
    }

    /// Has more sources read, as far as the loader may be ahead.
    fn advance(&mut self) {
        while self.next < self.reading.files.len() && self.open.len() < self.most_open {
            let (sender, images) = sync_channel(self.most_waiting);
            // Without a thread the source's channel ends before its images have come.
            _ = self.jobs.send((self.next, sender));
            self.open.push_back(Open { source: self.next, images, left: 1 });
            self.next += 1;
        }
    }
}

impl Iterator for Loader {
    type Item = Loaded;

    fn next(&mut self) -> Option<Loaded> {
        loop {
            self.advance();
            let open = self.open.front_mut()?;
            let loaded = match open.images.recv() {
                Ok(loaded) => loaded,
                Err(_) if open.left == 0 => {
                    self.open.pop_front();
                    continue;
                }
                Err(_) => {
                    let name = self.reading.files[open.source].display();
                    let failure = Failure::input(format!("{name}: could not be read to its end"));
                    Loaded::Failed { source: open.source, failure }
                }
            };
            open.left = match &loaded {
                Loaded::Image(image) => image.of - 1 - image.index.unwrap_or(0),
                Loaded::Failed { .. } => 0,
            };
            return Some(loaded);
        }
    }
}

impl Reading {
    /// Sends the images of a source, until nobody takes them.
    fn read(&self, source: usize, taker: &SyncSender<Loaded>) {
        let path = &self.files[source];
        let images: Images = match &self.preprocess {
            Some(preprocess) if !is_array(path) => Box::new(once(open_picture(source, path, preprocess))),
            _ => open_array(source, path, self.shape).unwrap_or_else(|failure| Box::new(once(Err(failure)))),
        };
        for image in images {
            let failed = image.is_err();
            let loaded = match image {
                Ok(image) => Loaded::Image(Box::new(image)),
                Err(failure) => Loaded::Failed { source, failure },
            };
            if taker.send(loaded).is_err() || failed {
                return;
            }
        }
    }
}

fn open_picture(source: usize, path: &Path, preprocess: &Preprocess) -> Result<Image, Failure> {
    let picture = Picture::open(path).map_err(Failure::input)?;
    let (values, placement) = preprocess.apply(&picture).map_err(|e| Failure::input(e).about(path.display()))?;
    Ok(Image { source, index: None, of: 1, picture: Some(picture), placement, values: values.into() })
}

fn open_array(source: usize, path: &Path, want: Shape) -> Result<Images, Failure> {
    let images = NpyImages::open(path).map_err(Failure::input)?;
    let tail = [want.channels, want.height, want.width];
    if images.shape[images.shape.len() - 3..] != tail {
        let message = format!(
            "{}: the model takes images {want}, this array has {:?}; resize it, or give pictures, which are fitted",
            path.display(),
            images.shape
        );
        return Err(Failure::input(message));
    }
    let several = images.shape.len() == 4;
    let of = if several { images.shape[0] } else { 1 };
    let placement = Placement { x: 0.0, y: 0.0, width: want.width as f32, height: want.height as f32 };
    let image = move |(i, values): (usize, Result<Vec<f32>, PictureError>)| {
        let values = values.map_err(Failure::input)?;
        Ok(Image { source, index: several.then_some(i), of, picture: None, placement, values: values.into() })
    };
    Ok(Box::new(images.enumerate().map(image)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::write_npy;
    use crate::tensor::Tensor;

    /// Arrays of one to four images, every seventh file missing.
    fn arrays(folder: &Path) -> Vec<PathBuf> {
        let path = |i: usize| folder.join(format!("{i}.npy"));
        for i in (0..40).filter(|i| i % 7 != 3) {
            let shape = [1 + i % 4, 1, 2, 3];
            write_npy(&path(i), &Tensor::new(&shape, vec![i as f32; shape.iter().product()])).expect("a file");
        }
        (0..40).map(path).collect()
    }

    #[test]
    fn images_come_in_order_whatever_reads_them() {
        let folder = tempfile::tempdir().expect("a folder");
        for (threads, ahead) in [(1, 1), (3, 1), (2, 5), (8, 16)] {
            let reading = Reading { files: arrays(folder.path()), shape: Shape::new(1, 2, 3), preprocess: None };
            let seen: Vec<(usize, Option<usize>)> = Loader::start(reading, threads, ahead)
                .map(|loaded| match loaded {
                    Loaded::Image(image) => {
                        assert!(image.values.iter().all(|v| *v == image.source as f32));
                        (image.source, image.index)
                    }
                    Loaded::Failed { source, failure } => {
                        assert!(failure.message.contains(&format!("{source}.npy")), "{}", failure.message);
                        (source, None)
                    }
                })
                .collect();
            let of_file =
                |i: usize| if i % 7 == 3 { vec![(i, None)] } else { (0..1 + i % 4).map(|n| (i, Some(n))).collect() };
            assert_eq!(seen, (0..40).flat_map(of_file).collect::<Vec<_>>(), "{threads} threads, {ahead} ahead");
        }
    }

    #[test]
    fn no_more_is_read_than_may_be_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = arrays(folder.path());
        let reading = Reading { files: files.clone(), shape: Shape::new(1, 2, 3), preprocess: None };
        let mut loader = Loader::start(reading, 2, 4);
        assert!(matches!(loader.next(), Some(Loaded::Image(image)) if image.source == 0));
        assert_eq!(loader.open.len(), 6);
        // What is not open yet is not read yet: it can still change.
        std::fs::remove_file(&files[20]).expect("removed");
        let failed = loader.filter_map(|loaded| match loaded {
            Loaded::Failed { source, .. } => Some(source),
            Loaded::Image(_) => None,
        });
        assert_eq!(failed.collect::<Vec<_>>(), [3, 10, 17, 20, 24, 31, 38]);
    }
}
